//! An engine of a test's own, in a network of its own, beside the machine's and unknown to it.

use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::support::{eventually, finish, skipped};

/// How long an engine may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A Docker engine that nobody else uses, with all that it has beneath one directory.
pub(crate) struct OwnEngine {
    directory: TempDir,
    daemon: Option<Child>,
}

/// Runs a test on a thread that has a network of its own, with nothing in it but loopback; every process that it starts
/// shares it. The network goes with the last of them.
pub(crate) fn in_own_network<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    if !geteuid().is_root() {
        return skipped("only root can have a network and an engine of its own");
    }
    if !Command::new("dockerd").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return skipped("`dockerd` is not installed");
    }
    let thread = std::thread::spawn(move || {
        enter_new_network();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn enter_new_network() {
    // It says so once it has the network, and lives until its input ends: when `holder` goes.
    let mut holder = Command::new("unshare");
    holder.args(["--net", "sh", "-c", "ip link set lo up && echo && cat"]);
    let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let network = File::open(format!("/proc/{}/ns/net", holder.id())).unwrap();
    move_into_link_name_space(std::os::fd::AsFd::as_fd(&network), Some(LinkNameSpaceType::Network)).unwrap();
    drop(holder.stdin.take());
    holder.wait().unwrap();
}

impl OwnEngine {
    /// Starts an engine in the network of this thread.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("portgate-engine-").tempdir().unwrap();
        std::fs::write(directory.path().join("daemon.json"), "{}").unwrap();
        let mut engine = Self { directory, daemon: None };
        engine.start_again().await;
        engine
    }

    /// Starts it, and waits until it answers.
    pub(crate) async fn start_again(&mut self) {
        let path = |name: &str| self.directory.path().join(name);
        let log = File::options().create(true).append(true).open(path("log")).unwrap();
        let mut daemon = Command::new("setpriv");
        // It ends with this thread, if the test is killed.
        daemon.args(["--pdeathsig", "TERM", "dockerd"]);
        daemon.arg("--config-file").arg(path("daemon.json"));
        daemon.arg("--data-root").arg(path("data")).arg("--exec-root").arg(path("run"));
        daemon.arg("--pidfile").arg(path("pid")).arg("--host").arg(self.host());
        // Needs nothing of the machine.
        daemon.args(["--storage-driver", "vfs"]);
        daemon.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.daemon = Some(daemon.spawn().unwrap());
        eventually(async || self.answers().await.then_some(())).await;
    }

    async fn answers(&self) -> bool {
        let mut version = tokio::process::Command::new("docker");
        version.args(["--host", &self.host(), "version"]);
        finish(version).await.status.success()
    }

    /// What `DOCKER_HOST` is for it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.directory.path().join("socket").display())
    }

    /// Stops it as a system that shuts down does, and waits for its end.
    pub(crate) fn stop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let id = Pid::from_child(&daemon);
        kill_process(id, Signal::TERM).unwrap();
        let (ended, end) = channel();
        std::thread::spawn(move || ended.send(daemon.wait()));
        if end.recv_timeout(PATIENCE).is_err() {
            kill_process(id, Signal::KILL).unwrap();
            let _ = end.recv();
        }
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(30).collect();
            let last: Vec<&str> = last.into_iter().rev().collect();
            let _ = writeln!(std::io::stderr(), "the engine said at last:\n{}", last.join("\n"));
        }
        self.stop();
    }
}
