//! From mappings, nodes, Services and endpoints to backends.

mod forbidden;
mod object;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::kubernetes::{ObjectKey, Objects, PortName};
use crate::mapping::{Local, Mapping, Target};
use crate::port::{Port, Protocol};

pub use forbidden::{Forbidden, OwnAddresses};

/// How a backend is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "reach", rename_all = "lowercase")]
pub enum Reach {
    /// The node's own address and port.
    Node,
    /// An address within the cluster, with a node as router.
    Route {
        /// The node's address.
        via: IpAddr,
    },
    /// A stream through the Kubernetes API server.
    Api,
}

impl Reach {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Route { .. } => "route",
            Self::Api => "api",
        }
    }
}

/// A concrete end of the path, that a target resolves to now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Backend {
    /// The container that has the address, or that leads to it; the pod's name where it is reached through the API server.
    pub node: String,
    /// Address and port.
    pub address: SocketAddr,
    /// How it is reached.
    #[serde(flatten)]
    pub reach: Reach,
}

/// Why a mapping has no backend at the moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum NoBackend {
    /// No node has an address.
    #[error("cluster stopped")]
    ClusterStopped,
    /// The one container that the target names has no address.
    #[error("container {container} is not running on the cluster's network")]
    ContainerStopped {
        /// The container's name.
        container: String,
    },
    /// The API server has never told of the object.
    #[error("nothing is known of {object} yet: {problem}")]
    Unknown {
        /// The object.
        object: ObjectKey,
        /// Why.
        problem: String,
    },
    /// There is no such object.
    #[error("{object} does not exist")]
    NotFound {
        /// The object.
        object: ObjectKey,
    },
    /// The object has no such port.
    #[error("{object} has no {protocol} port {port}")]
    NoPort {
        /// The object.
        object: ObjectKey,
        /// The port, as it was named.
        port: PortName,
        /// The protocol.
        protocol: Protocol,
    },
    /// No pod matches the object's selector.
    #[error("{object} has no endpoint")]
    NoEndpoint {
        /// The object.
        object: ObjectKey,
    },
    /// Pods there are, and none of them takes connections.
    #[error("no endpoint of {object} is ready")]
    NotReady {
        /// The object.
        object: ObjectKey,
    },
    /// No endpoint is a pod, and the API server leads to pods alone.
    #[error("{object} has no pod to which the Kubernetes API server could lead")]
    NoPod {
        /// The object.
        object: ObjectKey,
    },
    /// The Service is a name of something outside.
    #[error("{object} is only a name, of {name}")]
    ExternalName {
        /// The Service.
        object: ObjectKey,
        /// What it is a name of.
        name: String,
    },
    /// Only a route leads to the object, and the gate has no right to make one, or its addresses are IPv6 alone.
    #[error("{object} has no node port, and this gate has no route to it")]
    NoRoute {
        /// The object.
        object: ObjectKey,
    },
    /// No mapping leads to an address that the target has, and it has no other one.
    #[error("cannot lead to {address} of {owner}: {because}")]
    Forbidden {
        /// Whose address it is: the object, or the container.
        owner: String,
        /// The address.
        address: IpAddr,
        /// Why.
        because: Forbidden,
    },
    /// The API server carries TCP alone.
    #[error("the Kubernetes API server carries no UDP")]
    UdpByApi,
}

/// The backends of one mapping, or why it has none.
pub type Resolution = Result<Vec<Backend>, NoBackend>;

/// The backends of each mapping, by its local end.
pub type Table = BTreeMap<Local, Resolution>;

/// What was last seen of a container: the addresses that its name resolves to, none while it is stopped.
pub type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// How a gate reaches what is in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// Over the cluster's network.
    Network {
        /// Whether packets to addresses within the cluster can be led through a node.
        routes: bool,
    },
    /// Through the Kubernetes API server.
    Api,
}

/// What is known of the world when a table is built.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The names of the cluster's nodes, in the order of preference.
    pub nodes: &'a [String],
    /// What is known of them, and of the other containers that targets name.
    pub seen: &'a Addresses,
    /// What is known of the objects that targets name.
    pub objects: &'a Objects,
    /// How they are reached.
    pub means: Means,
    /// The addresses that no mapping leads to; `None` where the nodes are processes of this machine.
    pub own: Option<&'a OwnAddresses>,
}

/// Decides where each mapping leads now.
///
/// A node with several addresses is reached by its first IPv4 address, else by its first address: the others belong to
/// the same container.
pub fn build<'a>(mappings: impl IntoIterator<Item = &'a Mapping>, view: View<'_>) -> Table {
    let resolve = |mapping: &Mapping| view.resolve(&mapping.target, mapping.local.protocol);
    mappings.into_iter().map(|mapping| (mapping.local.clone(), resolve(mapping))).collect()
}

impl View<'_> {
    /// Decides where one target leads now.
    pub fn resolve(&self, target: &Target, protocol: Protocol) -> Resolution {
        match target {
            Target::NodePort { port } => self.on_nodes(self.nodes, *port),
            Target::Node { container, port } => {
                let backend = self.on_node(container, *port)?;
                let stopped = || NoBackend::ContainerStopped { container: container.clone() };
                backend.map(|backend| vec![backend]).ok_or_else(stopped)
            }
            Target::Object { object, port } => self.object(object, port, protocol),
        }
    }

    /// The addresses of a target that it is not led to, though it may have others.
    pub fn forbidden(&self, target: &Target) -> BTreeMap<IpAddr, Forbidden> {
        let seen = |container: &String| self.seen.get(container).into_iter().flatten().copied();
        let addresses: Vec<IpAddr> = match target {
            Target::NodePort { .. } => self.nodes.iter().flat_map(seen).collect(),
            Target::Node { container, .. } => seen(container).collect(),
            Target::Object { object, .. } => self.addresses(object),
        };
        addresses.into_iter().filter_map(|address| Some((address, self.own?.forbid(address)?))).collect()
    }

    /// A port of each of these containers that runs.
    fn on_nodes<'n>(&self, nodes: impl IntoIterator<Item = &'n String>, port: Port) -> Resolution {
        let mut backends = Vec::new();
        let mut otherwise = NoBackend::ClusterStopped;
        for node in nodes {
            match self.on_node(node, port) {
                Ok(backend) => backends.extend(backend),
                Err(why) => otherwise = why,
            }
        }
        if backends.is_empty() { Err(otherwise) } else { Ok(backends) }
    }

    /// A port of a container, if that runs.
    fn on_node(&self, container: &str, port: Port) -> Result<Option<Backend>, NoBackend> {
        let addresses = self.seen.get(container).map(Vec::as_slice).unwrap_or_default();
        let allowed = addresses.iter().filter(|address| self.allows(**address));
        let Some(address) = allowed.min_by_key(|address| address.is_ipv6()) else {
            return addresses.iter().find_map(|address| self.refusal(&container, *address)).map_or(Ok(None), Err);
        };
        let address = SocketAddr::new(*address, port.number());
        Ok(Some(Backend { node: container.to_owned(), address, reach: Reach::Node }))
    }

    /// Whether a mapping may lead to this address.
    fn allows(&self, address: IpAddr) -> bool {
        self.own.is_none_or(|own| own.forbid(address).is_none())
    }

    /// Why no mapping leads to this address, if none may.
    fn refusal(&self, owner: &dyn fmt::Display, address: IpAddr) -> Option<NoBackend> {
        let because = self.own?.forbid(address)?;
        Some(NoBackend::Forbidden { owner: owner.to_string(), address, because })
    }
}

#[cfg(test)]
mod object_tests;
#[cfg(test)]
mod tests;
