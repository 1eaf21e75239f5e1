//! Mappings: a port on the host, and what it leads to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::kubernetes::{ObjectKey, PortName};
use crate::port::{Port, Protocol};

/// The host's addresses that one mapping listens on: sorted, without repetition, never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<IpAddr>", into = "Vec<IpAddr>")]
pub struct HostAddresses(Vec<IpAddr>);

/// A list of host addresses was empty.
#[derive(Debug, thiserror::Error)]
#[error("a mapping needs at least one host address")]
pub struct NoAddress;

impl HostAddresses {
    /// 127.0.0.1 and `[::1]`: reached from this machine only. The default.
    pub fn loopback() -> Self {
        Self(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)])
    }

    /// One address.
    pub fn single(address: IpAddr) -> Self {
        Self(vec![address])
    }

    /// The addresses, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().copied()
    }

    /// Whether each address is a loopback address.
    pub fn is_local(&self) -> bool {
        self.iter().all(|address| address.is_loopback())
    }

    /// Whether a socket on one of these and one on `other`, with the same port, would exclude each other.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.iter().any(|a| other.iter().any(|b| overlap(a, b)))
    }
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()))
}

impl TryFrom<Vec<IpAddr>> for HostAddresses {
    type Error = NoAddress;

    fn try_from(mut addresses: Vec<IpAddr>) -> Result<Self, NoAddress> {
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() { Err(NoAddress) } else { Ok(Self(addresses)) }
    }
}

impl From<HostAddresses> for Vec<IpAddr> {
    fn from(addresses: HostAddresses) -> Self {
        addresses.0
    }
}

impl fmt::Display for HostAddresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::loopback() {
            return f.write_str("localhost");
        }
        for (index, address) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match address {
                IpAddr::V4(address) => write!(f, "{comma}{address}")?,
                IpAddr::V6(address) => write!(f, "{comma}[{address}]")?,
            }
        }
        Ok(())
    }
}

/// The near end of a mapping: where the host listens. Within one cluster's gate it identifies the mapping.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Local {
    /// The host's addresses.
    pub addresses: HostAddresses,
    /// The host's port.
    pub port: Port,
    /// The protocol, the same at both ends.
    pub protocol: Protocol,
}

impl Local {
    /// One socket address for each host address.
    pub fn sockets(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().map(|address| SocketAddr::new(address, self.port.number()))
    }

    /// Whether both cannot listen at the same time.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.port == other.port && self.protocol == other.protocol && self.addresses.overlaps(&other.addresses)
    }
}

impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.addresses, self.port, self.protocol)
    }
}

/// The far end of a mapping: what the user named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Target {
    /// A port that every node serves: a Service's NodePort, or a host port of a pod.
    NodePort {
        /// The port on the nodes.
        port: Port,
    },
    /// A port of one container on the cluster's network.
    Node {
        /// The container's name.
        container: String,
        /// The port in that container.
        port: Port,
    },
    /// A port of a Service, a pod or a workload.
    Object {
        /// Which object.
        object: ObjectKey,
        /// Which of its ports.
        port: PortName,
    },
}

impl Target {
    /// The Kubernetes object that must be known to find the way.
    pub fn object(&self) -> Option<&ObjectKey> {
        match self {
            Self::Object { object, .. } => Some(object),
            Self::NodePort { .. } | Self::Node { .. } => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodePort { port } => port.fmt(f),
            Self::Node { container, port } => write!(f, "node/{container}:{port}"),
            Self::Object { object, port } => write!(f, "{object}:{port}"),
        }
    }
}

/// What the user wants: a local port that leads to a target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mapping {
    /// Where the host listens.
    pub local: Local,
    /// Where it leads.
    pub target: Target,
}

impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> HostAddresses {
        HostAddresses::try_from(list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>()).unwrap()
    }

    #[test]
    fn the_wildcard_overlaps_every_address_of_its_family_only() {
        assert!(addresses(&["0.0.0.0"]).overlaps(&HostAddresses::loopback()));
        assert!(!addresses(&["0.0.0.0"]).overlaps(&addresses(&["::1"])));
        assert!(addresses(&["::"]).overlaps(&addresses(&["::1"])));
        assert!(!addresses(&["127.0.0.1"]).overlaps(&addresses(&["127.0.0.2"])));
    }

    #[test]
    fn addresses_are_a_set() {
        assert_eq!(addresses(&["::1", "127.0.0.1", "::1"]), HostAddresses::loopback());
        assert!(HostAddresses::try_from(Vec::new()).is_err());
    }

    #[test]
    fn loopback_is_called_localhost() {
        assert_eq!(HostAddresses::loopback().to_string(), "localhost");
        assert_eq!(addresses(&["::1", "10.0.0.7"]).to_string(), "10.0.0.7,[::1]");
    }
}
