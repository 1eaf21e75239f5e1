//! A forward to the pods of a double of an API server.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use portgate_double::object::{endpoint_slice, pod, service};
use portgate_double::{Config, Double, Kubeconfig};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::cli::Cli;
use crate::fault::Entrance;
use crate::load::Place;
use crate::node::serve_connections;

/// The namespace of the Service and its pods.
pub(crate) const NAMESPACE: &str = "backend";

/// The Service, and its port.
const SERVICE: &str = "web";
const PORT: u16 = 80;

/// The node that all pods are on.
const NODE: &str = "node";

/// A user of an API server, and the user's forward.
pub(crate) struct Forward {
    pub(crate) api: Double,
    pub(crate) cli: Cli,
    home: PathBuf,
    /// The host port that carries the load.
    tcp: u16,
    /// A host port that is opened and closed.
    pub(crate) spare: u16,
    pods: Vec<JoinSet<()>>,
}

impl Forward {
    /// Starts the double with two pods.
    pub(crate) async fn find(executable: &Path, home: PathBuf, tcp: u16, spare: u16) -> anyhow::Result<Self> {
        let api = Double::start(Config::default()).await.context("cannot start the double of an API server")?;
        std::fs::create_dir(&home).with_context(|| format!("cannot make {}", home.display()))?;
        let kubeconfig = api.kubeconfig(&Kubeconfig::default()).await?;
        std::fs::write(home.join("kubeconfig"), kubeconfig).context("cannot write a kubeconfig")?;
        let path = |name: &str| OsString::from(home.join(name));
        let environment = vec![
            ("KUBECONFIG", path("kubeconfig")),
            ("HOME", home.clone().into()),
            ("XDG_RUNTIME_DIR", path("run")),
            ("XDG_STATE_HOME", path("state")),
            ("XDG_CONFIG_HOME", path("config")),
            ("DOCKER_HOST", "unix:///nonexistent.sock".into()),
        ];
        let cli = Cli { executable: executable.to_owned(), environment };
        let mut forward = Self { api, cli, home, tcp, spare, pods: Vec::new() };
        forward.api.apply(service(SERVICE, NAMESPACE).at("10.43.0.80").port("http", PORT)).await?;
        for index in [0, 1] {
            forward.add_pod(&pod_name(index), &pod_address(index)).await?;
        }
        forward.lead_to(&[0, 1]).await?;
        Ok(forward)
    }

    /// Adds a pod that serves.
    pub(crate) async fn add_pod(&mut self, name: &str, address: &str) -> anyhow::Result<()> {
        self.api.apply(pod(name, NAMESPACE).on(NODE, "172.20.0.2").at(address)).await?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("cannot listen for a pod")?;
        let local = listener.local_addr().context("a listener has no address")?;
        self.api.serve(NAMESPACE, name, PORT, local).await?;
        let mut server = JoinSet::new();
        server.spawn(serve_connections(listener));
        self.pods.push(server);
        Ok(())
    }

    /// The ready pods of the Service are these.
    pub(crate) async fn lead_to(&self, pods: &[usize]) -> anyhow::Result<()> {
        let mut slice = endpoint_slice(SERVICE, NAMESPACE).port("http", PORT);
        for &index in pods {
            slice = slice.endpoint(&pod_address(index), NODE, &pod_name(index));
        }
        self.api.apply(slice).await?;
        Ok(())
    }

    /// Starts the forward.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        self.open(self.tcp).await
    }

    /// Forwards a host port.
    pub(crate) async fn open(&self, port: u16) -> anyhow::Result<()> {
        self.cli.succeed(&Self::command(port)).await.map(drop)
    }

    /// What a user types to forward a host port.
    pub(crate) fn command(port: u16) -> String {
        format!("forward svc/{SERVICE} {port}:{PORT} -n {NAMESPACE} --detach")
    }

    pub(crate) fn place(&self) -> Place {
        Place { entrance: Entrance::Forward, tcp: SocketAddr::from((Ipv4Addr::LOCALHOST, self.tcp)), udp: None }
    }

    /// The end of what the forward said.
    pub(crate) fn log(&self) -> String {
        let gates = std::fs::read_dir(self.home.join("run/portgate")).into_iter().flatten().flatten();
        let logs = gates.filter_map(|gate| std::fs::read_to_string(gate.path().join("gate.log")).ok());
        logs.collect::<Vec<_>>().join("\n")
    }

    /// Where its processes have their files, which is in their arguments.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// What is not as it is to be, of the forward's own view.
    pub(crate) async fn complaint(&self) -> Option<String> {
        match self.cli.mappings().await {
            Err(error) => Some(format!("{error:#}")),
            Ok(mappings) if mappings.len() != 1 => Some(format!("{} ports are open, not 1", mappings.len())),
            Ok(mappings) if mappings[0]["state"] != "open" => Some(format!("its port is {}", mappings[0]["state"])),
            Ok(_) => None,
        }
    }
}

pub(crate) fn pod_name(index: usize) -> String {
    format!("{SERVICE}-{index}")
}

pub(crate) fn pod_address(index: usize) -> String {
    format!("10.42.0.{}", 80 + index)
}
