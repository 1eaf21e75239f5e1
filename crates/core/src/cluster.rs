//! Clusters and their nodes, as the Docker API shows them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// The tool that made a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// k3s in Docker.
    K3d,
    /// Kubernetes in Docker.
    Kind,
    /// minikube with its docker driver.
    Minikube,
    /// A plain Docker network, named with `--network`: every running container on it is a node.
    Network,
}

impl Provider {
    /// The name in listings and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K3d => "k3d",
            Self::Kind => "kind",
            Self::Minikube => "minikube",
            Self::Network => "network",
        }
    }

    /// The provider of this name, the inverse of [`Provider::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::K3d, Self::Kind, Self::Minikube, Self::Network].into_iter().find(|provider| provider.name() == name)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Which cluster: the name is the provider's own (`mycluster`, not `k3d-mycluster`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ClusterId {
    /// Who made it.
    pub provider: Provider,
    /// The provider's name of it; for [`Provider::Network`] the network's name.
    pub name: String,
}

impl ClusterId {
    /// The name of the cluster's first gate, and of its volume: `k3d-mycluster-portgate`, `mycluster-portgate` elsewhere.
    pub fn gate_name(&self) -> String {
        match self.provider {
            Provider::K3d => format!("k3d-{}-portgate", self.name),
            Provider::Kind | Provider::Minikube | Provider::Network => format!("{}-portgate", self.name),
        }
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

/// A local cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Provider and name.
    #[serde(flatten)]
    pub id: ClusterId,
    /// The Docker network that its nodes share.
    pub network: String,
    /// The nodes: servers first, then in the order of their names.
    pub nodes: Vec<Node>,
}

impl Cluster {
    /// The nodes that run.
    pub fn running_nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.state == NodeState::Running)
    }

    /// Whether at least one node runs.
    pub fn is_running(&self) -> bool {
        self.running_nodes().next().is_some()
    }
}

/// A container that serves the cluster's node ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The container's name, by which Docker's DNS knows it too.
    pub name: String,
    /// What it does in the cluster.
    pub role: Role,
    /// Whether it runs.
    pub state: NodeState,
    /// Its address on the cluster's network, while it runs.
    pub address: Option<IpAddr>,
}

/// What a node does in its cluster. Load balancers and registries are no nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Runs the control plane (k3d's server, kind's control-plane).
    Server,
    /// Runs workloads only (k3d's agent, kind's worker).
    Agent,
    /// A container of a plain network, whose part is not known.
    Container,
}

impl Role {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Agent => "agent",
            Self::Container => "container",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Docker's state of a node's container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Running.
    Running,
    /// Running, but frozen by `docker pause`.
    Paused,
    /// Between two runs.
    Restarting,
    /// Created, exited, dead or being removed.
    Stopped,
}

impl NodeState {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
