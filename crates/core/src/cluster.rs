//! Clusters and their nodes, as the Docker API shows them.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::table::Addresses;

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
    /// Any Kubernetes cluster, known by a context of the user's kubeconfig alone. Its nodes are not known.
    Context,
}

impl Provider {
    /// The name in listings and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::K3d => "k3d",
            Self::Kind => "kind",
            Self::Minikube => "minikube",
            Self::Network => "network",
            Self::Context => "context",
        }
    }

    /// The provider of this name, the inverse of [`Provider::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::K3d, Self::Kind, Self::Minikube, Self::Network, Self::Context];
        all.into_iter().find(|provider| provider.name() == name)
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
    /// The provider's name of it; for [`Provider::Network`] the network's name, for [`Provider::Context`] the context's.
    pub name: String,
}

impl ClusterId {
    /// The cluster that a context of a kubeconfig names: k3d and kind call theirs `k3d-NAME` and `kind-NAME`.
    pub fn of_context(context: &str) -> Self {
        let named = |provider: Provider, prefix| Some((provider, context.strip_prefix(prefix)?));
        let known = named(Provider::K3d, "k3d-").or_else(|| named(Provider::Kind, "kind-"));
        let (provider, name) = known.unwrap_or((Provider::Context, context));
        Self { provider, name: name.to_owned() }
    }

    /// The context that the cluster has in a kubeconfig, where its provider has a way to call it.
    pub fn context(&self) -> Option<String> {
        match self.provider {
            Provider::K3d => Some(format!("k3d-{}", self.name)),
            Provider::Kind => Some(format!("kind-{}", self.name)),
            Provider::Minikube | Provider::Context => Some(self.name.clone()),
            Provider::Network => None,
        }
    }

    /// The name of the cluster's first gate, and of its volume: `k3d-mycluster-portgate`. No two clusters share it,
    /// because no provider's name has a `-`.
    pub fn gate_name(&self) -> String {
        format!("{}-{}-portgate", self.provider, self.name)
    }

    /// The name of the cluster's first forward: `k3d-mycluster-forward`. It is the name of a directory, so of a context's
    /// name only letters, digits, `.`, `_` and `-` are left.
    pub fn forward_name(&self) -> String {
        let context = self.context().unwrap_or_else(|| self.name.clone());
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
        format!("{}-forward", context.chars().map(plain).collect::<String>())
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

    /// The names of all nodes, in their order.
    pub fn node_names(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// The address of each node; none of one that is stopped.
    pub fn addresses(&self) -> Addresses {
        self.nodes.iter().map(|node| (node.name.clone(), node.address.into_iter().collect())).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_of_clusters_with_similar_names_are_told_apart() {
        let clusters = [
            (Provider::K3d, "x"),
            (Provider::Kind, "k3d-x"),
            (Provider::Kind, "x"),
            (Provider::Minikube, "x"),
            (Provider::Network, "kind-x"),
            (Provider::Network, "x"),
        ];
        let names = clusters.map(|(provider, name)| ClusterId { provider, name: name.to_owned() }.gate_name());
        assert_eq!(names[0], "k3d-x-portgate");
        let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(distinct.len(), names.len(), "{names:?}");
    }
}
