//! A cluster of two nodes, and its gates.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::status::Placement;
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::Engine;
use serde_json::Value;

use super::cli::Cli;
use super::docker::docker;
use super::volume::Volume;
use crate::fault::{Entrance, Node, Subject};
use crate::load::Place;
use crate::node::PORT;

/// A cluster, and how its gates are.
pub(crate) struct Cluster {
    pub(crate) subject: Subject,
    /// What all clusters of the run have in common: the name of what is removed at the end.
    pub(crate) run: String,
    /// The cluster's name.
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) cli: Cli,
    pub(crate) volume: Volume,
    /// The image of the nodes.
    pub(crate) image: String,
    /// The host ports that carry the load.
    pub(crate) tcp: u16,
    pub(crate) udp: u16,
    /// Host ports that are opened and closed.
    pub(crate) spare: [u16; 2],
}

impl Cluster {
    pub(crate) fn id(&self) -> ClusterId {
        ClusterId { provider: Provider::K3d, name: self.name.clone() }
    }

    /// The name of the first gate's container.
    pub(crate) fn gate(&self) -> String {
        self.id().gate_name()
    }

    pub(crate) fn network(&self) -> String {
        format!("k3d-{}", self.name)
    }

    /// The name of a node's container.
    pub(crate) fn node(&self, node: Node) -> String {
        format!("k3d-{}-{node}", self.name)
    }

    /// Where the gate on the host has its files.
    pub(crate) fn directory(&self) -> PathBuf {
        PathBuf::from("/run/portgate").join(format!("k3d-{}", self.name))
    }

    pub(crate) fn control_socket(&self) -> PathBuf {
        self.directory().join("control.sock")
    }

    /// Makes the network and the nodes, and opens the ports of the load.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        self.engine.create_demo_network(&self.run, &self.network()).await?;
        for node in [Node::First, Node::Second] {
            self.add(node).await?;
        }
        self.open().await
    }

    /// Adds a node that serves.
    pub(crate) async fn add(&self, node: Node) -> anyhow::Result<()> {
        let role = if node == Node::First { "server" } else { "agent" };
        self.start(self.node(node), role, "serve").await
    }

    /// Adds a container that listens nowhere, and is no node.
    pub(crate) async fn add_idle(&self, name: &str) -> anyhow::Result<()> {
        self.start(name.to_owned(), "noRole", "idle").await
    }

    async fn start(&self, name: String, role: &str, part: &str) -> anyhow::Result<()> {
        let network = self.network();
        let labels =
            [("app", "k3d"), ("k3d.cluster", &self.name), ("k3d.cluster.network", &network), ("k3d.role", role)];
        let labels: HashMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let command = vec!["node".to_owned(), part.to_owned()];
        let container = DemoContainer { name, image: self.image.clone(), command, network, labels };
        Ok(self.engine.start_demo_container(&self.run, &container).await?)
    }

    /// Opens the ports of the load, with a new state volume.
    pub(crate) async fn open(&self) -> anyhow::Result<()> {
        self.volume.make().await?;
        let (placement, datapath) = match self.subject {
            Subject::Host => (Placement::Host, "kernel"),
            _ => (Placement::Published, "relay"),
        };
        let ports = format!("{}:{PORT} {}:{PORT}/udp", self.tcp, self.udp);
        self.cli.succeed(&format!("open --placement {placement} --datapath {datapath} {ports}")).await.map(drop)
    }

    /// The ways in.
    pub(crate) fn places(&self) -> Vec<Place> {
        let place = |entrance, address: IpAddr| Place {
            entrance,
            tcp: SocketAddr::new(address, self.tcp),
            udp: Some(SocketAddr::new(address, self.udp)),
        };
        let kernel = place(Entrance::Kernel, Ipv4Addr::LOCALHOST.into());
        match self.subject {
            Subject::Host => vec![kernel, place(Entrance::Relay, Ipv6Addr::LOCALHOST.into())],
            _ => vec![Place { entrance: Entrance::Published, ..kernel }],
        }
    }

    /// The address of a container on the cluster's network.
    pub(crate) async fn address(&self, container: &str) -> anyhow::Result<Option<IpAddr>> {
        let networks = docker(&["inspect", "--format", "{{json .NetworkSettings.Networks}}", container]).await?;
        let networks: Value = serde_json::from_str(&networks).context("docker inspect is not understood")?;
        Ok(networks[self.network()]["IPAddress"].as_str().and_then(|address| address.parse().ok()))
    }

    /// What is not as it is to be, of the gates' own view: each port of the load is open and leads to both nodes, where
    /// they are now.
    pub(crate) async fn complaint(&self) -> Option<String> {
        let (mappings, nodes) = match tokio::try_join!(self.cli.mappings(), self.addresses()) {
            Ok(seen) => seen,
            Err(error) => return Some(format!("{error:#}")),
        };
        let datapath = if self.subject == Subject::Host { "kernel" } else { "relay" };
        for mapping in &mappings {
            let port = &mapping["local"]["port"];
            if mapping["state"] != "open" || mapping["datapath"] != datapath {
                let because = &mapping["relay_because"];
                return Some(format!(
                    "port {port} is {}, carried by the {}: {because}",
                    mapping["state"], mapping["datapath"]
                ));
            }
            let backends: BTreeSet<String> = backends(mapping).collect();
            if backends != nodes {
                return Some(format!("port {port} leads to {backends:?}, and the nodes are at {nodes:?}"));
            }
        }
        (mappings.len() != 2).then(|| format!("{} ports are open, not 2", mappings.len()))
    }

    /// Where the nodes serve.
    async fn addresses(&self) -> anyhow::Result<BTreeSet<String>> {
        let (first, second) = (self.node(Node::First), self.node(Node::Second));
        let addresses = tokio::try_join!(self.address(&first), self.address(&second))?;
        let sockets = [addresses.0, addresses.1].into_iter().flatten().map(|address| SocketAddr::new(address, PORT));
        Ok(sockets.map(|socket| socket.to_string()).collect())
    }
}

/// Where a listed mapping leads.
fn backends(mapping: &Value) -> impl Iterator<Item = String> {
    let backends = mapping["backends"].as_array().into_iter().flatten();
    backends.filter_map(|backend| backend["address"].as_str().map(str::to_owned))
}
