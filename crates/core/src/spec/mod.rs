//! What a user types for a port, and its meaning.
//!
//! The syntax follows docker, kubectl and k3d:
//! `[ADDRESS:][HOSTPORT:]TARGET[/tcp|/udp|/tcp+udp]`, where TARGET is `PORT` or `FIRST-LAST` (node ports),
//! `svc/NAME[.NAMESPACE][:PORT-OR-NAME]`, `pod/NAME[.NAMESPACE]:PORT`, or `node/CONTAINER:PORT`.

mod error;
mod parse;

use std::fmt;
use std::net::IpAddr;

pub use error::{SpecError, SpecErrorKind};

use crate::mapping::{HostAddresses, Local, Mapping, Target};
use crate::port::{Port, PortRange, Protocols};

/// One port specification, as typed. [`fmt::Display`] writes it so that [`PortSpec::parse`] reads it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortSpec {
    /// Where to listen, if it was said.
    pub bind: Option<Bind>,
    /// The host's ports, if they were said. As many as the target's.
    pub host: Option<PortRange>,
    /// What the ports lead to.
    pub target: TargetSpec,
    /// The protocols, if they were said.
    pub protocols: Option<Protocols>,
}

/// An address before the host port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// `localhost`: 127.0.0.1 and `[::1]`.
    Localhost,
    /// One address; IPv6 in brackets.
    Address(IpAddr),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost => f.write_str("localhost"),
            Self::Address(IpAddr::V4(address)) => address.fmt(f),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// A target, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetSpec {
    /// `30999` or `30000-30020`
    NodePorts(PortRange),
    /// `svc/NAME[.NAMESPACE][:PORT-OR-NAME]`
    Service {
        /// The Service.
        name: ObjectName,
        /// Which of its ports; a Service with one port needs none.
        port: Option<ServicePort>,
    },
    /// `pod/NAME[.NAMESPACE]:PORT`
    Pod {
        /// The pod.
        name: ObjectName,
        /// The pod's port.
        port: Port,
    },
    /// `node/CONTAINER:PORT`
    Node {
        /// The container.
        container: String,
        /// The container's port.
        port: Port,
    },
}

impl TargetSpec {
    /// How many ports the target has, where that can be told from the text.
    fn count(&self) -> usize {
        match self {
            Self::NodePorts(range) => range.count(),
            Self::Service { .. } | Self::Pod { .. } | Self::Node { .. } => 1,
        }
    }
}

impl fmt::Display for TargetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodePorts(range) => range.fmt(f),
            Self::Service { name, port: None } => write!(f, "svc/{name}"),
            Self::Service { name, port: Some(port) } => write!(f, "svc/{name}:{port}"),
            Self::Pod { name, port } => write!(f, "pod/{name}:{port}"),
            Self::Node { container, port } => write!(f, "node/{container}:{port}"),
        }
    }
}

/// The name of a Kubernetes object, with its namespace if that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// The object's own name.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            None => f.write_str(&self.name),
            Some(namespace) => write!(f, "{}.{namespace}", self.name),
        }
    }
}

/// Which port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServicePort {
    /// By number.
    Number(Port),
    /// By name: letters, digits and dashes, with at least one letter.
    Name(String),
}

impl fmt::Display for ServicePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(port) => port.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for PortSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bind) = self.bind {
            write!(f, "{bind}:")?;
        }
        if let Some(host) = self.host {
            write!(f, "{host}:")?;
        }
        self.target.fmt(f)?;
        match self.protocols {
            Some(protocols) => write!(f, "/{protocols}"),
            None => Ok(()),
        }
    }
}

/// A specification names a target that this version cannot open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{target}`: {kind} are not supported as targets yet")]
pub struct Unsupported {
    /// The target, as typed.
    pub target: String,
    /// What it is, in the plural.
    pub kind: &'static str,
}

impl Unsupported {
    /// What to do instead.
    pub fn hint(&self) -> &'static str {
        "name the Service's node port instead; `kubectl get services -A` lists them under PORT(S), as 80:30080/TCP"
    }
}

impl PortSpec {
    /// Reads one specification.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        parse::port_spec(text)
    }

    /// The host addresses to listen on: those typed, else `default`.
    fn addresses(&self, default: &HostAddresses) -> HostAddresses {
        match self.bind {
            None => default.clone(),
            Some(Bind::Localhost) => HostAddresses::loopback(),
            Some(Bind::Address(address)) => HostAddresses::single(address),
        }
    }

    /// The single mappings that the specification means, one for each port and protocol.
    ///
    /// A protocol that was not typed is TCP; a host port that was not typed is the target's.
    pub fn mappings(&self, default: &HostAddresses) -> Result<Vec<Mapping>, Unsupported> {
        let addresses = self.addresses(default);
        let unsupported = |kind| Unsupported { target: self.target.to_string(), kind };
        let targets: Vec<(Port, Target)> = match &self.target {
            TargetSpec::NodePorts(range) => {
                let host = self.host.unwrap_or(*range);
                host.ports().zip(range.ports().map(|port| Target::NodePort { port })).collect()
            }
            TargetSpec::Node { container, port } => {
                let target = Target::Node { container: container.clone(), port: *port };
                vec![(self.host.map_or(*port, PortRange::first), target)]
            }
            TargetSpec::Service { .. } => return Err(unsupported("Services")),
            TargetSpec::Pod { .. } => return Err(unsupported("pods")),
        };
        let protocols = self.protocols.unwrap_or(Protocols::Tcp).each();
        let mapping = |port, target: &Target, protocol| Mapping {
            local: Local { addresses: addresses.clone(), port, protocol },
            target: target.clone(),
        };
        Ok(targets
            .iter()
            .flat_map(|(port, target)| protocols.iter().map(|protocol| mapping(*port, target, *protocol)))
            .collect())
    }
}

/// Which open mappings a user means by a local port: what `close`, `test` and `ls` take.
///
/// The syntax is `[ADDRESS:]PORT[-LAST][/PROTOCOL]`, the near end of a [`PortSpec`]; what is not said matches everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The host address, if it was said.
    pub bind: Option<Bind>,
    /// The host's ports.
    pub ports: PortRange,
    /// The protocols, if they were said.
    pub protocols: Option<Protocols>,
}

impl Selector {
    /// Reads one selector.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        parse::selector(text)
    }

    /// Whether the mapping with this local end is meant.
    pub fn matches(&self, local: &Local) -> bool {
        let ports = self.ports.first()..=self.ports.last();
        let protocol = self.protocols.is_none_or(|protocols| protocols.each().contains(&local.protocol));
        let bind = match self.bind {
            None => true,
            Some(Bind::Localhost) => local.addresses == HostAddresses::loopback(),
            Some(Bind::Address(address)) => local.addresses.iter().any(|each| each == address),
        };
        ports.contains(&local.port) && protocol && bind
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(bind) = self.bind {
            write!(f, "{bind}:")?;
        }
        self.ports.fmt(f)?;
        match self.protocols {
            Some(protocols) => write!(f, "/{protocols}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
