//! Clusters and their nodes, read from the labels of containers.

pub(crate) mod member;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, EndpointSettings};
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions};
use portgate_core::cluster::{Cluster, ClusterId, Node, NodeState, Provider, Role};
use portgate_core::suggest;

use member::Member;

use crate::call::{self, Call, QUESTION};
use crate::engine::Engine;
use crate::trust::{Believed, Claim, Reason, Rejection};
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

/// What there is of clusters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// The clusters, in the order of their names.
    pub clusters: Vec<Cluster>,
    /// The containers that are not believed to be what they say, in the order of their names.
    pub rejections: Vec<Rejection>,
}

impl Engine {
    /// Every cluster that has a node, running or not, in the order of their names.
    pub async fn clusters(&self) -> Result<Vec<Cluster>, call::Error> {
        Ok(self.survey().await?.clusters)
    }

    /// The clusters, and the containers that are not believed to be what they say.
    pub async fn survey(&self) -> Result<Survey, call::Error> {
        let Believed { containers, mut rejections } = self.believed(true).await?;
        let (clusters, strays) = from_containers(&containers);
        rejections.extend(strays);
        rejections.sort_by(|a, b| natural::compare(&a.container, &b.container));
        Ok(Survey { clusters, rejections })
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

    /// The containers, with the labels that are believed.
    pub(crate) async fn containers(&self, stopped_too: bool) -> Result<Vec<ContainerSummary>, call::Error> {
        Ok(self.believed(stopped_too).await?.containers)
    }

    /// The containers as the engine lists them.
    pub(crate) async fn listed(&self, stopped_too: bool) -> Result<Vec<ContainerSummary>, call::Error> {
        let options = ListContainersOptionsBuilder::new().all(stopped_too).build();
        Call::new("list containers", "", QUESTION).make(self.docker.list_containers(Some(options))).await
    }
}

/// The clusters that these containers form, and the containers that are not on the network of the cluster of which they
/// say to be nodes. The labels are those that are believed.
pub(crate) fn from_containers(containers: &[ContainerSummary]) -> (Vec<Cluster>, Vec<Rejection>) {
    let mut members: BTreeMap<ClusterId, Vec<(&ContainerSummary, Member)>> = BTreeMap::new();
    let mut rejections = Vec::new();
    for container in containers.iter().filter(|container| !is_gate(container)) {
        match Member::of(container) {
            Some(member) if member.is_named_well() => {
                members.entry(member.id.clone()).or_default().push((container, member));
            }
            Some(member) => rejections.push(rejection(container, &member, Reason::ClusterName)),
            None => {}
        }
    }
    let mut clusters = Vec::new();
    for (id, members) in members {
        let network = network_of(&members);
        let mut nodes = Vec::new();
        for (container, member) in members {
            if endpoint(container, &network).is_some() {
                nodes.push(node(container, member.role, &network));
            } else {
                rejections.push(rejection(container, &member, Reason::Network { network: network.clone() }));
            }
        }
        sort(&mut nodes);
        clusters.push(Cluster { id, network, nodes });
    }
    clusters.sort_by(|a, b| natural::compare(&a.id.name, &b.id.name).then(a.id.cmp(&b.id)));
    (clusters, rejections)
}

/// The network of a cluster: that of its oldest server. So no container that comes later moves it elsewhere. One that is
/// not on the network that it was made for does not count, unless none is.
fn network_of(members: &[(&ContainerSummary, Member)]) -> String {
    let age = |(container, member): &&(&ContainerSummary, Member)| {
        let is_away = endpoint(container, &member.network).is_none();
        (member.role, is_away, container.created, name(container))
    };
    members.iter().min_by_key(age).map(|(_, member)| member.network.clone()).unwrap_or_default()
}

fn rejection(container: &ContainerSummary, member: &Member, reason: Reason) -> Rejection {
    Rejection { container: name(container), claim: Claim::Node, cluster: Some(member.id.clone()), reason }
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

/// Whether a container is a gate, by the labels that are believed.
pub(crate) fn is_gate(container: &ContainerSummary) -> bool {
    label(container, labels::CLUSTER).is_some()
}

pub(crate) fn label<'a>(container: &'a ContainerSummary, key: &str) -> Option<&'a str> {
    container.labels.as_ref()?.get(key).map(String::as_str)
}

fn networks(container: &ContainerSummary) -> Option<&HashMap<String, EndpointSettings>> {
    container.network_settings.as_ref()?.networks.as_ref()
}

fn endpoint<'a>(container: &'a ContainerSummary, network: &str) -> Option<&'a EndpointSettings> {
    networks(container)?.get(network)
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
