//! From mappings and nodes to backends.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::mapping::{Local, Mapping, Target};
use crate::port::Port;

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
}

/// A concrete end of the path, that a target resolves to now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Backend {
    /// The container that has the address.
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
}

/// The backends of one mapping, or why it has none.
pub type Resolution = Result<Vec<Backend>, NoBackend>;

/// The backends of each mapping, by its local end.
pub type Table = BTreeMap<Local, Resolution>;

/// What was last seen of a container: the addresses that its name resolves to, none while it is stopped.
pub type Addresses = BTreeMap<String, Vec<IpAddr>>;

/// Decides where each mapping leads now.
///
/// `nodes` are the names of the cluster's nodes, in the order of preference; `seen` holds what is known of them and of
/// the other containers that targets name. A node with several addresses is reached by its first IPv4 address, else by
/// its first address: the others belong to the same container.
pub fn build<'a>(mappings: impl IntoIterator<Item = &'a Mapping>, nodes: &[String], seen: &Addresses) -> Table {
    mappings.into_iter().map(|mapping| (mapping.local.clone(), resolve(&mapping.target, nodes, seen))).collect()
}

fn resolve(target: &Target, nodes: &[String], seen: &Addresses) -> Resolution {
    match target {
        Target::NodePort { port } => {
            let backends: Vec<_> = nodes.iter().filter_map(|node| backend(node, *port, seen)).collect();
            if backends.is_empty() { Err(NoBackend::ClusterStopped) } else { Ok(backends) }
        }
        Target::Node { container, port } => backend(container, *port, seen)
            .map(|backend| vec![backend])
            .ok_or_else(|| NoBackend::ContainerStopped { container: container.clone() }),
    }
}

/// The backends that these ends within the cluster are, a Service's address or those of pods: each is reached through
/// the first of the `nodes` that has an IPv4 address.
pub fn routed(ends: &[SocketAddr], nodes: &[String], seen: &Addresses) -> Resolution {
    let router = |node: &&String| seen.get(*node)?.iter().copied().find(IpAddr::is_ipv4);
    let (node, via) = nodes.iter().find_map(|node| Some((node, router(&node)?))).ok_or(NoBackend::ClusterStopped)?;
    let reach = Reach::Route { via };
    Ok(ends.iter().map(|&address| Backend { node: node.clone(), address, reach }).collect())
}

fn backend(container: &str, port: Port, seen: &Addresses) -> Option<Backend> {
    let addresses = seen.get(container)?;
    let address = addresses.iter().find(|address| address.is_ipv4()).or_else(|| addresses.first())?;
    let address = SocketAddr::new(*address, port.number());
    Some(Backend { node: container.to_owned(), address, reach: Reach::Node })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::HostAddresses;
    use crate::port::Protocol;

    fn mapping(target: Target) -> Mapping {
        let port = Port::new(30999).unwrap();
        let local = Local { addresses: HostAddresses::loopback(), port, protocol: Protocol::Tcp };
        Mapping { local, target }
    }

    fn node_port() -> Mapping {
        mapping(Target::NodePort { port: Port::new(30080).unwrap() })
    }

    fn on_container(container: &str) -> Mapping {
        mapping(Target::Node { container: container.to_owned(), port: Port::new(5000).unwrap() })
    }

    fn seen(list: &[(&str, &[&str])]) -> Addresses {
        list.iter()
            .map(|(name, addresses)| {
                ((*name).to_owned(), addresses.iter().map(|address| address.parse().unwrap()).collect())
            })
            .collect()
    }

    fn only_resolution(mapping: &Mapping, nodes: &[&str], seen: &Addresses) -> Resolution {
        let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
        let mut table = build([mapping], &nodes, seen);
        table.remove(&mapping.local).unwrap()
    }

    fn ends(resolution: Resolution) -> Vec<String> {
        resolution.unwrap().into_iter().map(|backend| backend.address.to_string()).collect()
    }

    #[test]
    fn a_node_port_leads_to_every_node_that_has_an_address() {
        let seen = seen(&[("server-0", &["172.18.0.2"]), ("agent-0", &[]), ("agent-1", &["172.18.0.4"])]);
        let resolution = only_resolution(&node_port(), &["server-0", "agent-0", "agent-1", "agent-2"], &seen);
        assert_eq!(ends(resolution), ["172.18.0.2:30080", "172.18.0.4:30080"]);
    }

    #[test]
    fn a_node_port_of_a_stopped_cluster_leads_nowhere() {
        let resolution = only_resolution(&node_port(), &["server-0"], &seen(&[("server-0", &[])]));
        assert_eq!(resolution, Err(NoBackend::ClusterStopped));
    }

    #[test]
    fn a_container_port_leads_to_that_container_only() {
        let seen = seen(&[("server-0", &["172.18.0.2"]), ("registry", &["172.18.0.9"])]);
        assert_eq!(ends(only_resolution(&on_container("registry"), &["server-0"], &seen)), ["172.18.0.9:5000"]);
        let gone = only_resolution(&on_container("gone"), &["server-0"], &seen);
        assert_eq!(gone, Err(NoBackend::ContainerStopped { container: "gone".to_owned() }));
    }

    #[test]
    fn an_address_within_the_cluster_is_reached_through_the_first_node_that_runs() {
        let seen = seen(&[("server-0", &[]), ("agent-0", &["172.18.0.4"])]);
        let nodes = ["server-0", "agent-0"].map(str::to_owned);
        let ends = ["10.43.0.10:53".parse().unwrap(), "10.42.0.9:53".parse().unwrap()];
        let backends = routed(&ends, &nodes, &seen).unwrap();
        assert_eq!(backends.iter().map(|backend| backend.address).collect::<Vec<_>>(), ends);
        let via = Reach::Route { via: "172.18.0.4".parse().unwrap() };
        assert!(backends.iter().all(|backend| backend.reach == via && backend.node == "agent-0"));
        assert_eq!(routed(&ends, &nodes[..1], &seen), Err(NoBackend::ClusterStopped));
    }

    #[test]
    fn backends_say_how_they_are_reached() {
        let by_node = r#"{"node":"n","address":"172.18.0.2:80","reach":"node"}"#;
        let by_route = r#"{"node":"n","address":"10.43.0.1:80","reach":"route","via":"172.18.0.2"}"#;
        for text in [by_node, by_route] {
            let backend: Backend = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&backend).unwrap(), text);
        }
    }

    #[test]
    fn a_container_with_both_families_is_reached_by_ipv4() {
        let both = seen(&[("server-0", &["fd00::2", "172.18.0.2"])]);
        assert_eq!(ends(only_resolution(&node_port(), &["server-0"], &both)), ["172.18.0.2:30080"]);
        let only_v6 = seen(&[("server-0", &["fd00::2"])]);
        assert_eq!(ends(only_resolution(&node_port(), &["server-0"], &only_v6)), ["[fd00::2]:30080"]);
    }
}
