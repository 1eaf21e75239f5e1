//! Starting `dockerd` where no service manager does.

use std::env;
use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::invocation::Invocation;
use crate::machine::Privilege;

/// How long `dockerd` may take to be ready. It takes a second, or ten on a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much of the log is shown if it is not, in lines.
const LOG_TAIL: usize = 10;

/// What starts the daemon. `setsid` lets it outlive the terminal; the group is that of its socket.
pub(crate) fn invocation(privilege: Privilege) -> Invocation {
    let invocation = Invocation::new("setsid --fork dockerd");
    match privilege {
        Privilege::Root => invocation,
        Privilege::Sudo { group } => invocation.arg("--group").arg(group.to_string()).privileged(privilege),
    }
}

/// Starts the daemon and waits until it says that it is ready, as `sd_notify(3)` describes.
pub(crate) fn start(privilege: Privilege) -> anyhow::Result<()> {
    let directory = cache_directory();
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let log_path = directory.join("dockerd.log");
    let log = File::create(&log_path).with_context(|| format!("cannot write {}", log_path.display()))?;
    let readiness = Readiness::listen(&directory.join("dockerd.ready"))?;

    let invocation = invocation(privilege).env("NOTIFY_SOCKET", readiness.path.to_string_lossy());
    eprintln!("$ {invocation}\n(its log is {})", log_path.display());
    let status = invocation
        .command()
        .stdin(Stdio::null())
        .stdout(log.try_clone().context("cannot share the log")?)
        .stderr(log)
        .status()
        .with_context(|| format!("cannot run `{invocation}`"))?;
    if status.success() && readiness.wait() {
        return Ok(());
    }
    bail!("dockerd did not start; the end of {}:\n{}", log_path.display(), tail(&log_path));
}

/// Where a daemon sends word that it is ready.
struct Readiness {
    path: PathBuf,
    socket: UnixDatagram,
}

impl Readiness {
    fn listen(path: &Path) -> anyhow::Result<Self> {
        // What an earlier run left behind. If it cannot be removed, binding says why.
        fs::remove_file(path).ok();
        let socket = UnixDatagram::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        socket.set_read_timeout(Some(PATIENCE)).context("cannot limit the wait for dockerd")?;
        Ok(Self { path: path.to_owned(), socket })
    }

    /// Whether the daemon's first message is that it is ready, and comes in time.
    fn wait(&self) -> bool {
        let mut message = [0; 256];
        self.socket.recv(&mut message).is_ok_and(|length| message[..length].starts_with(b"READY=1"))
    }
}

impl Drop for Readiness {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

/// `portgate` in the user's cache directory, or where temporary files go if the user has no home.
fn cache_directory() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("portgate")
}

fn tail(path: &Path) -> String {
    let log = fs::read(path).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}
