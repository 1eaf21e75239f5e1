//! Clusters and their nodes, read from the labels of containers.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, EndpointSettings};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions};
use portgate_core::cluster::{Cluster, ClusterId, Node, NodeState, Provider, Role};
use portgate_core::suggest;

use crate::call::{self, Call, QUESTION};
use crate::engine::Engine;
use crate::{labels, natural};

/// Why a cluster could not be found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine has no such network.
    #[error("there is no Docker network named {name}")]
    UnknownNetwork {
        /// As it was asked for.
        name: String,
        /// The names that there are, in their order.
        known: Vec<String>,
    },
    /// The engine did not answer.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownNetwork { name, known } => {
                let guess = suggest::nearest(name, known.iter().map(String::as_str));
                let guess = guess.map(|guess| format!("did you mean {guess}? ")).unwrap_or_default();
                Some(format!("{guess}networks are: {}", known.join(", ")))
            }
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// Every cluster that has a node, running or not, in the order of their names.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, call::Error> {
        Ok(from_containers(&self.containers(true).await?))
    }

    /// The cluster that a plain network stands for: each running container on it, except for gates, is a node.
    pub async fn cluster_on_network(&self, name: &str) -> Result<Cluster, Error> {
        let known = self.network_names().await?;
        if !known.iter().any(|network| network == name) {
            return Err(Error::UnknownNetwork { name: name.to_owned(), known });
        }
        Ok(on_network(name, &self.containers(false).await?))
    }

    /// The names of the running containers on a network, gates excepted: what `node/CONTAINER:PORT` may name.
    pub async fn containers_on(&self, network: &str) -> Result<Vec<String>, call::Error> {
        let cluster = on_network(network, &self.containers(false).await?);
        Ok(cluster.nodes.into_iter().map(|node| node.name).collect())
    }

    /// The names of all networks, in their order.
    pub(crate) async fn network_names(&self) -> Result<Vec<String>, call::Error> {
        let list = self.docker.list_networks(None::<ListNetworksOptions>);
        let networks = Call::new("list networks", "", QUESTION).make(list).await?;
        let mut names: Vec<String> = networks.into_iter().filter_map(|network| network.name).collect();
        names.sort();
        Ok(names)
    }

    pub(crate) async fn containers(&self, stopped_too: bool) -> Result<Vec<ContainerSummary>, call::Error> {
        let options = ListContainersOptionsBuilder::new().all(stopped_too).build();
        Call::new("list containers", "", QUESTION).make(self.docker.list_containers(Some(options))).await
    }
}

/// The clusters that these containers form.
pub(crate) fn from_containers(containers: &[ContainerSummary]) -> Vec<Cluster> {
    let mut clusters: BTreeMap<ClusterId, Cluster> = BTreeMap::new();
    for container in containers {
        let Some(member) = member(container) else { continue };
        let cluster = clusters.entry(member.id.clone()).or_insert_with(|| Cluster {
            id: member.id,
            network: member.network,
            nodes: Vec::new(),
        });
        cluster.nodes.push(node(container, member.role, &cluster.network));
    }
    let mut clusters: Vec<Cluster> = clusters.into_values().collect();
    for cluster in &mut clusters {
        sort(&mut cluster.nodes);
    }
    clusters.sort_by(|a, b| natural::compare(&a.id.name, &b.id.name).then(a.id.cmp(&b.id)));
    clusters
}

/// The cluster that a plain network stands for.
pub(crate) fn on_network(network: &str, containers: &[ContainerSummary]) -> Cluster {
    let running = running_on(network, containers);
    let mut nodes: Vec<Node> = running.map(|(container, _)| node(container, Role::Container, network)).collect();
    sort(&mut nodes);
    let id = ClusterId { provider: Provider::Network, name: network.to_owned() };
    Cluster { id, network: network.to_owned(), nodes }
}

/// The running containers on a network, gates excepted, and their addresses there, IPv4 first.
pub(crate) fn addresses_on(network: &str, containers: &[ContainerSummary]) -> BTreeMap<String, Vec<IpAddr>> {
    running_on(network, containers)
        .map(|(container, endpoint)| (name(container), addresses(endpoint).collect()))
        .collect()
}

fn running_on<'a>(
    network: &str,
    containers: &'a [ContainerSummary],
) -> impl Iterator<Item = (&'a ContainerSummary, &'a EndpointSettings)> {
    let running = containers.iter().filter(|container| container.state == Some(State::RUNNING) && !is_gate(container));
    running.filter_map(move |container| Some((container, endpoint(container, network)?)))
}

/// A container's part in a cluster.
struct Member {
    id: ClusterId,
    network: String,
    role: Role,
}

fn member(container: &ContainerSummary) -> Option<Member> {
    if is_gate(container) {
        return None;
    }
    k3d(container).or_else(|| kind(container)).or_else(|| minikube(container))
}

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

impl Member {
    fn new(provider: Provider, name: &str, network: &str, role: Role) -> Self {
        let id = ClusterId { provider, name: name.to_owned() };
        Self { id, network: network.to_owned(), role }
    }
}

fn node(container: &ContainerSummary, role: Role, network: &str) -> Node {
    let state = match container.state {
        Some(State::RUNNING) => NodeState::Running,
        Some(State::PAUSED) => NodeState::Paused,
        Some(State::RESTARTING) => NodeState::Restarting,
        _ => NodeState::Stopped,
    };
    Node { name: name(container), role, state, address: endpoint(container, network).and_then(address) }
}

fn sort(nodes: &mut [Node]) {
    nodes.sort_by(|a, b| a.role.cmp(&b.role).then_with(|| natural::compare(&a.name, &b.name)));
}

/// A container's name, which the engine writes with a leading slash.
pub(crate) fn name(container: &ContainerSummary) -> String {
    // A legacy link adds names with a second slash.
    let mut names = container.names.iter().flatten().filter_map(|name| name.strip_prefix('/'));
    names.find(|name| !name.contains('/')).unwrap_or_default().to_owned()
}

/// Whether a container is a gate.
pub(crate) fn is_gate(container: &ContainerSummary) -> bool {
    label(container, labels::CLUSTER).is_some()
}

fn label<'a>(container: &'a ContainerSummary, key: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(key).map(String::as_str)
}

fn networks(container: &ContainerSummary) -> Option<&HashMap<String, EndpointSettings>> {
    container.network_settings.as_ref()?.networks.as_ref()
}

fn endpoint<'a>(container: &'a ContainerSummary, network: &str) -> Option<&'a EndpointSettings> {
    networks(container)?.get(network)
}

/// The network that a container was made with, not one that it was connected to later.
fn first_network(container: &ContainerSummary) -> Option<&str> {
    let networks = networks(container)?;
    let first = container.host_config.as_ref().and_then(|config| config.network_mode.as_ref());
    let first = first.filter(|network| networks.contains_key(*network));
    first.or_else(|| networks.keys().min()).map(String::as_str)
}

fn address(endpoint: &EndpointSettings) -> Option<IpAddr> {
    addresses(endpoint).next()
}

/// IPv4 first.
fn addresses(endpoint: &EndpointSettings) -> impl Iterator<Item = IpAddr> {
    let given = [&endpoint.ip_address, &endpoint.global_ipv6_address];
    given.into_iter().flatten().filter_map(|address| address.parse().ok())
}

#[cfg(test)]
mod tests;
