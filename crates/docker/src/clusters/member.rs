//! What a container's labels say of its part in a cluster.

use bollard::models::ContainerSummary;
use portgate_core::cluster::{ClusterId, Provider, Role};

use super::{label, networks};

/// A container's part in a cluster, as its labels say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) id: ClusterId,
    /// The network that the container was made for. It may have left it.
    pub(crate) network: String,
    pub(crate) role: Role,
}

impl Member {
    /// None if the container says nothing of the kind.
    pub(crate) fn of(container: &ContainerSummary) -> Option<Self> {
        k3d(container).or_else(|| kind(container)).or_else(|| minikube(container))
    }

    /// Whether the cluster's name is one that its tool gives: it is a part of file names.
    pub(crate) fn is_named_well(&self) -> bool {
        let name = &self.id.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) && name.len() <= LONGEST_NAME
    }

    fn new(provider: Provider, name: &str, network: &str, role: Role) -> Self {
        let id = ClusterId { provider, name: name.to_owned() };
        Self { id, network: network.to_owned(), role }
    }
}

/// The longest name of a cluster, in bytes: that of a DNS name.
const LONGEST_NAME: usize = 253;

fn k3d(container: &ContainerSummary) -> Option<Member> {
    let name = label(container, "k3d.cluster")?;
    let role = match label(container, "k3d.role")? {
        "server" => Role::Server,
        "agent" => Role::Agent,
        _ => return None,
    };
    let network = label(container, "k3d.cluster.network").or_else(|| first_network(container))?;
    Some(Member::new(Provider::K3d, name, network, role))
}

fn kind(container: &ContainerSummary) -> Option<Member> {
    let name = label(container, "io.x-k8s.kind.cluster")?;
    let role = match label(container, "io.x-k8s.kind.role")? {
        "control-plane" => Role::Server,
        "worker" => Role::Agent,
        _ => return None,
    };
    Some(Member::new(Provider::Kind, name, first_network(container)?, role))
}

/// minikube labels a node with its own name only. Its first node, which has the control plane, is called like the
/// profile, and so is the network; the role label is empty.
fn minikube(container: &ContainerSummary) -> Option<Member> {
    if label(container, "created_by.minikube.sigs.k8s.io")? != "true" {
        return None;
    }
    let network = first_network(container)?;
    let first = label(container, "name.minikube.sigs.k8s.io") == Some(network);
    let server = first || label(container, "role.minikube.sigs.k8s.io") == Some("control-plane");
    Some(Member::new(Provider::Minikube, network, network, if server { Role::Server } else { Role::Agent }))
}

/// The network that a container was made with, not one that it was connected to later. One that has left all its
/// networks still says with which it was made.
fn first_network(container: &ContainerSummary) -> Option<&str> {
    let networks = networks(container);
    let may_be_on = |network: &&String| networks.is_none_or(|all| all.is_empty() || all.contains_key(*network));
    let first = container.host_config.as_ref().and_then(|config| config.network_mode.as_ref()).filter(may_be_on);
    first.or_else(|| networks?.keys().min()).map(String::as_str)
}
