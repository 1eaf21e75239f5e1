//! A cluster of a test's own: a Docker network and nodes with k3d's labels, on which the real `portgate` is run.
//!
//! Each has a name of its own, and goes with the test, whether that passed or not.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use portgate_core::cluster::{ClusterId, Provider};
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::Engine;
use portgate_docker::image::GateImage;
use portgate_docker::settings::Settings;
use tokio::process::Command;

use crate::kubernetes::Kubernetes;

/// What the peers serve; see `examples/peer.rs`.
pub(crate) const ECHO: u16 = 30999;
pub(crate) const DATAGRAM_ECHO: u16 = 30998;
pub(crate) const GREETING: u16 = 30022;
pub(crate) const DOWNLOAD: u16 = 30100;
pub(crate) const COUNTING: u16 = 30053;
pub(crate) const OTHER_ECHO: u16 = 30379;
pub(crate) const HTTP: u16 = 30080;
/// Takes datagrams and never answers.
pub(crate) const SILENT: u16 = 30514;
/// The first of two ports that echo both TCP and UDP.
pub(crate) const BOTH: u16 = 30500;
/// Nothing listens there.
pub(crate) const NOTHING: u16 = 30001;

/// How long anything may take before it counts as lost.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// Set by `cargo xtask test` to leave out the tests that need an engine.
const NO_DOCKER: &str = "PORTGATE_TEST_NO_DOCKER";

/// Tells the clusters of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// The ports that tests listen on: below those from which the kernel takes one for each client.
const PORTS: std::ops::Range<u16> = 10_000..30_000;

/// How many of them were handed out.
static PORTS_GIVEN: AtomicU32 = AtomicU32::new(0);

/// A cluster, its nodes running.
pub(crate) struct Cluster {
    pub(crate) engine: Engine,
    /// The cluster's name, and that of everything else that was made for it.
    pub(crate) name: String,
    image: GateImage,
    settings: Settings,
    host: Option<String>,
    /// Where its gates are put; where portgate puts them by default, if none is named.
    placement: Option<&'static str>,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Ran {
    /// It succeeded; the reason why not, otherwise.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert!(self.status.success(), "{}{}", self.stdout, self.stderr);
        self
    }

    /// It failed with this exit status.
    #[track_caller]
    pub(crate) fn fails(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}{}", self.stdout, self.stderr);
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// A cluster of one node whose gates have published ports; none, visibly, where there is no engine to have it in.
pub(crate) async fn cluster() -> Option<Cluster> {
    cluster_on(None).await
}

/// A cluster of one node whose gates are where portgate puts them by default: in the host's network.
pub(crate) async fn host_cluster() -> Option<Cluster> {
    host_cluster_on(None).await
}

/// Such a cluster on the engine that listens at `host`.
pub(crate) async fn host_cluster_on(host: Option<String>) -> Option<Cluster> {
    let mut cluster = cluster_on(host).await?;
    cluster.placement = None;
    Some(cluster)
}

/// A cluster on the engine that listens at `host`, such as `unix:///tmp/docker.sock`.
pub(crate) async fn cluster_on(host: Option<String>) -> Option<Cluster> {
    if std::env::var_os(NO_DOCKER).is_some() {
        skipped("tests with Docker were not asked for");
        return None;
    }
    let variable = |name: &str| match (name, &host) {
        ("DOCKER_HOST", Some(host)) => Some(host.clone()),
        _ => std::env::var(name).ok(),
    };
    let settings = Settings::from_variables(variable);
    let engine = match Engine::connect(&settings).await {
        Ok(engine) => engine,
        Err(error) => {
            skipped(&format!("no Docker engine ({error:?})"));
            return None;
        }
    };
    let name = format!("pgtest-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let architecture = engine.info().await.unwrap().architecture;
    let image = GateImage::in_repository(&name, &peer(), &name, &architecture).unwrap();
    let cluster = Cluster { engine, name, image, settings, host, placement: Some("published") };
    cluster.engine.ensure_image(&cluster.image).await.unwrap();
    cluster.engine.create_demo_network(&cluster.name, &cluster.network()).await.unwrap();
    cluster.add_node("server-0", "server").await;
    Some(cluster)
}

/// Waits until no other test, of this process or another, measures: they would disturb one another. The turn lasts as
/// long as what is returned.
pub(crate) async fn turn() -> File {
    let file = File::open(peer()).unwrap();
    tokio::task::spawn_blocking(|| file.lock().map(|()| file)).await.unwrap().unwrap()
}

/// Says why a test, or a part of it, cannot be done here. Where everything has to be there, that is a failure.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
    // Past the test harness, which shows the output of failed tests only.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// The example that the test harness builds beside the program.
fn peer() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_portgate")).with_file_name("examples").join("peer")
}

impl Cluster {
    pub(crate) fn network(&self) -> String {
        format!("k3d-{}", self.name)
    }

    /// The container of the node of this name, such as `server-0`.
    pub(crate) fn node(&self, node: &str) -> String {
        format!("k3d-{}-{node}", self.name)
    }

    /// The name of the first gate.
    pub(crate) fn gate(&self) -> String {
        format!("k3d-{}-portgate", self.name)
    }

    /// Whether its gates are in the host's network.
    pub(crate) fn is_host(&self) -> bool {
        self.placement.is_none()
    }

    /// How bytes travel through its gates, unless it was asked for otherwise.
    pub(crate) fn datapath(&self) -> &'static str {
        if self.is_host() { "kernel" } else { "relay" }
    }

    /// The image of the nodes.
    pub(crate) fn image(&self) -> &str {
        self.image.reference()
    }

    pub(crate) fn id(&self) -> ClusterId {
        ClusterId { provider: Provider::K3d, name: self.name.clone() }
    }

    /// Adds a running node.
    pub(crate) async fn add_node(&self, node: &str, role: &str) {
        self.add_node_with(node, role, Vec::new()).await;
    }

    /// Adds a running node on which nothing listens.
    pub(crate) async fn add_idle_node(&self, node: &str, role: &str) {
        self.add_node_with(node, role, vec!["idle".to_owned()]).await;
    }

    /// Adds a running node that is the API server, too, as a Kubernetes of its own.
    pub(crate) async fn add_kubernetes(&self) -> Kubernetes<'_> {
        self.add_node_with("server-1", "server", vec!["kubernetes".to_owned()]).await;
        Kubernetes::of(self, "server-1").await
    }

    async fn add_node_with(&self, node: &str, role: &str, command: Vec<String>) {
        let network = self.network();
        let labels =
            [("app", "k3d"), ("k3d.cluster", &self.name), ("k3d.cluster.network", &network), ("k3d.role", role)];
        let labels: HashMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let image = self.image.reference().to_owned();
        let container = DemoContainer { name: self.node(node), image, command, network, labels };
        self.engine.start_demo_container(&self.name, &container).await.unwrap();
    }

    /// `portgate` with these arguments, on this cluster.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portgate"));
        command.args(arguments).env("PORTGATE_CLUSTER", &self.name).stdin(Stdio::null()).kill_on_drop(true);
        command.env_remove("PORTGATE_PLACEMENT").env_remove("PORTGATE_DATAPATH");
        // The user's own clusters are not concerned.
        command.env("KUBECONFIG", "/nonexistent");
        if let Some(placement) = self.placement {
            command.env("PORTGATE_PLACEMENT", placement);
        }
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        command
    }

    /// Runs `portgate` with these arguments, separated by blanks, on this cluster.
    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        finish(self.command(&arguments)).await
    }

    /// The names of the gates that this cluster has, running or not, the first one first.
    pub(crate) async fn gates(&self) -> Vec<String> {
        self.engine.gates(Some(&self.id())).await.unwrap().into_iter().map(|gate| gate.name).collect()
    }

    /// The names of the volumes that were made for this cluster.
    pub(crate) async fn volumes(&self) -> Vec<String> {
        let label = format!("label=dev.portgate.cluster={}", self.name);
        lines(&self.docker(&["volume", "ls", "--quiet", "--filter", &label]).await)
    }

    /// Nothing is left of what portgate made.
    #[track_caller]
    pub(crate) fn is_untouched(&self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let left = (self.gates().await, self.volumes().await);
            assert!(left.0.is_empty() && left.1.is_empty(), "{caller}: left are {left:?}");
            let directory = Path::new("/run/portgate").join(format!("k3d-{}", self.name));
            assert!(!directory.exists(), "{caller}: left is {}", directory.display());
        }
    }

    /// Runs docker's own CLI.
    pub(crate) async fn docker(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("docker");
        command.args(arguments);
        if let Some(host) = &self.host {
            command.env("DOCKER_HOST", host);
        }
        finish(command).await.ok().stdout
    }

    /// What `docker inspect` says of a container.
    pub(crate) async fn inspect(&self, container: &str) -> serde_json::Value {
        let mut list: serde_json::Value = serde_json::from_str(&self.docker(&["inspect", container]).await).unwrap();
        list[0].take()
    }

    /// The address of a container on the cluster's network.
    pub(crate) async fn address_of(&self, container: &str) -> IpAddr {
        let networks = self.inspect(container).await["NetworkSettings"]["Networks"].take();
        networks[self.network()]["IPAddress"].as_str().unwrap().parse().unwrap()
    }

    /// The one mapping of `portgate ls` that listens on this port.
    pub(crate) async fn mapping(&self, port: u16) -> serde_json::Value {
        self.only_mapping(port, |_| true).await
    }

    /// The mapping of this port and protocol.
    pub(crate) async fn mapping_of(&self, port: u16, protocol: &str) -> serde_json::Value {
        self.only_mapping(port, |item| item["local"]["protocol"] == protocol).await
    }

    async fn only_mapping(&self, port: u16, is_meant: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let list = self.run("ls -o json").await.ok().json();
        let items = list["items"].as_array().unwrap();
        let found: Vec<_> = items.iter().filter(|item| item["local"]["port"] == port && is_meant(item)).collect();
        assert_eq!(found.len(), 1, "{list:#}");
        found[0].clone()
    }
}

/// Runs a command to its end.
pub(crate) async fn finish(mut command: Command) -> Ran {
    let start = Instant::now();
    let output = tokio::time::timeout(LONG * 3, command.output()).await.unwrap().unwrap();
    Ran {
        status: output.status,
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        elapsed: start.elapsed(),
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Where a gate cannot be asked any more, portgate alone knows what it left in the kernel.
        let mut down = self.command(&["down"]).into_std();
        let _ = down.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let (name, id, settings) = (self.name.clone(), self.id(), self.settings.clone());
        // The test's own runtime may be on its way out.
        let clearing = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let Ok(engine) = Engine::connect(&settings).await else { return };
                for gate in engine.gates(Some(&id)).await.unwrap_or_default() {
                    let _ = engine.remove(&gate.name, true).await;
                }
                let _ = engine.remove_volume(&id.gate_name()).await;
                let _ = engine.remove_demo(&name).await;
                let _ = engine.remove_old_images(&format!("{name}:none")).await;
            });
            std::io::Result::Ok(())
        });
        let _ = clearing.join();
    }
}

/// A port that nobody listened on a moment ago, neither TCP nor UDP, and that no other test of this process gets.
pub(crate) fn free_port() -> u16 {
    free_ports(1)
}

/// The first of some ports in a row that nobody listened on a moment ago.
pub(crate) fn free_ports(count: u16) -> u16 {
    // Another process, whose id is not far away, starts elsewhere.
    let start = std::process::id().wrapping_mul(331);
    loop {
        let given = PORTS_GIVEN.fetch_add(count.into(), Ordering::Relaxed);
        // Whatever the count: what was given once is not given again before all were.
        let offset = start.wrapping_add(given) % u32::from(PORTS.end - PORTS.start);
        let first = PORTS.start + u16::try_from(offset).unwrap();
        if first + count <= PORTS.end && (first..first + count).all(is_free) {
            return first;
        }
    }
}

fn is_free(port: u16) -> bool {
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    let refused = |outcome: io::Result<()>| outcome.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    !addresses
        .iter()
        .any(|address| refused(TcpListener::bind(address).map(drop)) || refused(UdpSocket::bind(address).map(drop)))
}

/// A port of this machine's IPv4 loopback.
pub(crate) fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// The lines of what a command printed.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

/// Looks again and again until there is what is looked for.
pub(crate) async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(LONG, &mut look).await.expect("it did not come to pass")
}

/// Looks again and again until there is what is looked for, or the time is up.
pub(crate) async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look().await;
        if found.is_some() || start.elapsed() > limit {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
