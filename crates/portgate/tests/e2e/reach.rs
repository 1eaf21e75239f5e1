//! A user whose one cluster is reached through its API server alone: the double, in the test's own process.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;

use portgate_double::object::{endpoint_slice, pod, service};
use portgate_double::{Config, Double, Kubeconfig};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::support::{LONG, Ran, finish};

/// The recorded pod behind the recorded Services `echo` and `internal`.
pub(crate) const POD: &str = "echo-6d4f68dbd7-k8vdx";

/// The recorded node.
const NODE: &str = "k3d-mycluster-server-0";

/// A user without a Docker engine.
pub(crate) struct User {
    pub(crate) api: Double,
    home: TempDir,
    servers: JoinSet<()>,
}

impl User {
    /// A user of the recorded cluster, whose pod echoes on port 9999.
    pub(crate) async fn new() -> Self {
        Self::of(Config::default()).await
    }

    pub(crate) async fn of(config: Config) -> Self {
        // Each connection takes several descriptors of the process that has both of its ends.
        let own = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own }).unwrap();
        let api = Double::start(config).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        let kubeconfig = api.kubeconfig(&Kubeconfig::default()).await.unwrap();
        std::fs::write(home.path().join("kubeconfig"), kubeconfig).unwrap();
        let mut user = Self { api, home, servers: JoinSet::new() };
        user.serve(POD, 9999, echo).await;
        user
    }

    /// Serves a port of a pod.
    pub(crate) async fn serve<F>(&mut self, pod: &str, port: u16, service: impl Fn(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        self.api.serve("backend", pod, port, listener.local_addr().unwrap()).await.unwrap();
        self.servers.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(service(stream));
                while connections.try_join_next().is_some() {}
            }
        });
    }

    /// A Service `web` whose ready pods, on port 80, are these; others that it had are gone.
    pub(crate) async fn lead_web_to(&self, pods: &[&str]) {
        self.api.apply(service("web", "backend").at("10.43.0.80").port("http", 80)).await.unwrap();
        let mut slice = endpoint_slice("web", "backend").port("http", 80);
        for (index, name) in pods.iter().enumerate() {
            let address = format!("10.42.0.{}", 80 + index);
            self.api.apply(pod(name, "backend").on(NODE, "172.20.0.2").at(&address)).await.unwrap();
            slice = slice.endpoint(&address, NODE, name);
        }
        self.api.apply(slice).await.unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portgate"));
        command.args(arguments.split_whitespace()).kill_on_drop(true).stdin(Stdio::null());
        command.env("KUBECONFIG", self.path("kubeconfig")).env("HOME", self.home.path());
        command.env("XDG_RUNTIME_DIR", self.path("run")).env("XDG_STATE_HOME", self.path("state"));
        command.env("XDG_CONFIG_HOME", self.path("config"));
        command.env("DOCKER_HOST", "unix:///nonexistent.sock").env_remove("PORTGATE_CLUSTER");
        command
    }

    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        finish(self.command(arguments)).await
    }

    /// The one mapping of `portgate ls`.
    pub(crate) async fn mapping(&self) -> serde_json::Value {
        let list = self.run("ls -o json").await.ok().json();
        let items = list["items"].as_array().unwrap();
        assert_eq!(items.len(), 1, "{list:#}");
        items[0].clone()
    }

    /// Nothing is left of what was forwarded.
    pub(crate) fn has_nothing_left(&self) {
        for directory in ["run/portgate", "state/portgate"] {
            assert!(!self.path(directory).exists(), "{directory} is left");
        }
    }

    /// `portgate forward` in the foreground, once it listens.
    pub(crate) async fn forward(&self, arguments: &str) -> Forward {
        let mut command = self.command(&format!("forward {arguments}"));
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = timeout(LONG, lines.next_line()).await.unwrap().unwrap();
        let Some(first) = first else {
            let mut said = String::new();
            process.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
            panic!("it has ended: {said}");
        };
        Forward { process, lines, first }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.command("down").into_std().stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// A forward in the foreground.
pub(crate) struct Forward {
    pub(crate) process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The first line that it printed.
    pub(crate) first: String,
}

impl Forward {
    pub(crate) async fn line(&mut self) -> String {
        timeout(LONG, self.lines.next_line()).await.unwrap().unwrap().unwrap()
    }

    /// Ctrl-C; the exit status, and all that was said on standard error.
    pub(crate) async fn interrupt(mut self) -> (Option<i32>, String) {
        let id = i32::try_from(self.process.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), Signal::INT).unwrap();
        let status = timeout(LONG, self.process.wait()).await.unwrap().unwrap();
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
        (status.code(), said)
    }
}

/// Comes back, and ends when the client has.
pub(crate) async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

/// Says its name, and ends.
pub(crate) fn says(
    name: &'static str,
) -> impl Fn(TcpStream) -> std::pin::Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>> {
    move |mut stream| {
        Box::pin(async move {
            stream.write_all(name.as_bytes()).await?;
            stream.shutdown().await
        })
    }
}

/// What a server that speaks first says, up to its end.
pub(crate) async fn heard(address: SocketAddr) -> std::io::Result<String> {
    let listen = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut said = String::new();
        stream.read_to_string(&mut said).await?;
        Ok(said)
    };
    timeout(LONG, listen).await.expect("the connection hangs")
}
