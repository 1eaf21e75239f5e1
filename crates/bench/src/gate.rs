//! portgate: its gates, and its commands.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::control::{Change, Request, Response};
use portgate_core::mapping::{HostAddresses, Local, Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_core::state::{GateState, NodeHost};
use portgate_core::status::GateStatus;
use portgate_gate::Store;
use portgate_gate::client::Session;
use portgate_gate::paths::ProcessPaths;
use tokio::net::UnixStream;

use crate::path::Route;
use crate::process::Process;

/// How long a gate may take until it listens.
const PATIENCE: Duration = Duration::from_secs(5);

/// portgate's executable, and the cluster that it works on.
#[derive(Clone, Debug)]
pub(crate) struct Portgate {
    /// The executable.
    pub(crate) executable: PathBuf,
    /// The cluster's name.
    pub(crate) cluster: String,
}

impl Portgate {
    /// The cluster.
    pub(crate) fn id(&self) -> ClusterId {
        ClusterId { provider: Provider::K3d, name: self.cluster.clone() }
    }

    /// Runs a command to its end, and returns how long that took.
    pub(crate) async fn run(&self, arguments: &[String]) -> anyhow::Result<Duration> {
        let what = || format!("`portgate {}`", arguments.join(" "));
        let mut command = tokio::process::Command::new(&self.executable);
        command.args(arguments).env("PORTGATE_CLUSTER", &self.cluster).stdin(Stdio::null()).kill_on_drop(true);
        let start = Instant::now();
        let output = command.output().await.with_context(what)?;
        let elapsed = start.elapsed();
        if !output.status.success() {
            bail!("{} failed: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(elapsed)
    }

    /// Opens the ports of a route, in a container.
    pub(crate) async fn publish(&self, route: &Route) -> anyhow::Result<()> {
        let specs = route.ports().map(|(service, port)| format!("{port}:{}/{}", service.port(), service.protocol()));
        let arguments: Vec<String> = ["open".to_owned(), "--no-wait".to_owned()].into_iter().chain(specs).collect();
        self.run(&arguments).await.map(drop)
    }
}

/// A gate in process placement.
pub(crate) struct Gate {
    /// The gate's process.
    pub(crate) process: Process,
    session: Session<UnixStream>,
}

impl Gate {
    /// Starts a gate with the ports of a route, whose node has this address, and its files in `directory`.
    pub(crate) async fn start(
        portgate: &Portgate,
        directory: &Path,
        node: IpAddr,
        route: &Route,
    ) -> anyhow::Result<Self> {
        let mappings = route.ports().map(|(service, port)| mapping(port, service.port(), service.protocol()));
        let nodes = vec![NodeHost { name: "node".to_owned(), host: node.to_string() }];
        let state = GateState::new(portgate.id(), nodes, mappings.collect::<anyhow::Result<_>>()?);
        fs::create_dir_all(directory).context("cannot make the gate's directory")?;
        let paths = ProcessPaths { directory: directory.to_owned() };
        Store::new(paths.state()).save(&state).context("cannot save the gate's state")?;
        let mut command = Command::new(&portgate.executable);
        command.args(["gate", "run", "--process"]).arg(directory);
        let process = Process::start(command)?;
        let session = Session::connect(&paths.socket(), PATIENCE).await.context("the gate does not start")?;
        Ok(Self { process, session })
    }

    /// How the gate is.
    pub(crate) async fn status(&mut self) -> anyhow::Result<GateStatus> {
        match self.session.request(&Request::Status).await.context("the gate does not answer")? {
            Response::Status(status) => Ok(status),
            other => bail!("the gate's answer is another one: {other:?}"),
        }
    }

    /// Opens further ports, all of which lead to the same port of the node.
    pub(crate) async fn open(&mut self, ports: &[u16], target: u16) -> anyhow::Result<()> {
        let revision = self.status().await?.revision;
        let open = ports.iter().map(|&port| mapping(port, target, Protocol::Tcp)).collect::<anyhow::Result<_>>()?;
        let change = Change { revision, open, close: Vec::new(), nodes: None };
        self.session.request(&Request::Change(change)).await.context("the gate refuses").map(drop)
    }
}

fn mapping(local: u16, node: u16, protocol: Protocol) -> anyhow::Result<Mapping> {
    let port = |number| Port::new(number).context("port 0 is no port");
    let addresses = HostAddresses::single(Ipv4Addr::LOCALHOST.into());
    let local = Local { addresses, port: port(local)?, protocol };
    Ok(Mapping { local, target: Target::NodePort { port: port(node)? } })
}
