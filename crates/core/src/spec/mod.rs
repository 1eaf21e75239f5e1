//! What a user types for a port, and its meaning.
//!
//! The syntax follows docker, kubectl and k3d:
//! `[ADDRESS:][HOSTPORT:]TARGET[/tcp|/udp|/tcp+udp]`, where TARGET is `PORT` or `FIRST-LAST` (node ports),
//! `svc/NAME[.NAMESPACE][:PORT-OR-NAME]`, `pod/NAME[.NAMESPACE]:PORT` (and `deploy/`, `sts/`, `ds/`), or
//! `node/CONTAINER:PORT`.

mod error;
mod listener;
mod parse;
mod target;

use std::fmt;
use std::net::IpAddr;

pub use error::{SpecError, SpecErrorKind};
pub use listener::{ListenerError, listener};
pub use target::{TargetError, every_port};

use crate::host_port::{Advice, Wanted};
use crate::kubernetes::{Kind, ObjectKey, Objects, PortName};
#[cfg(test)]
use crate::mapping::Mapping;
use crate::mapping::{HostAddresses, Local, Target};
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
    /// `svc/NAME[.NAMESPACE][:PORT-OR-NAME]`, and `pod/`, `deploy/`, `sts/` and `ds/` with a port
    Object {
        /// What it is.
        kind: Kind,
        /// Its name.
        name: ObjectName,
        /// Which of its ports; a Service with one port needs none.
        port: Option<PortName>,
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
            Self::Object { .. } | Self::Node { .. } => 1,
        }
    }
}

impl fmt::Display for TargetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodePorts(range) => range.fmt(f),
            Self::Object { kind, name, port: None } => write!(f, "{}/{name}", kind.short()),
            Self::Object { kind, name, port: Some(port) } => write!(f, "{}/{name}:{port}", kind.short()),
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

    /// The Kubernetes object that the target names, in this namespace if it names none.
    pub fn object(&self, namespace: &str) -> Option<ObjectKey> {
        let TargetSpec::Object { kind, name, .. } = &self.target else { return None };
        let namespace = name.namespace.as_deref().unwrap_or(namespace).to_owned();
        Some(ObjectKey { kind: *kind, namespace, name: name.name.clone() })
    }

    /// The single mappings that the specification means, one for each port and protocol.
    ///
    /// A protocol that was not typed is that of the Service's port, else TCP; a host port that was not typed is the
    /// target's, and for an object is left to [`host_port::assign`](crate::host_port::assign).
    pub fn wanted(&self, ground: Ground<'_>) -> Result<Vec<Wanted>, TargetError> {
        let addresses = self.addresses(ground.addresses);
        let host = self.host.map(PortRange::first);
        let targets: Vec<(Option<Port>, Target)> = match &self.target {
            TargetSpec::NodePorts(range) => {
                let host = self.host.unwrap_or(*range);
                host.ports().map(Some).zip(range.ports().map(|port| Target::NodePort { port })).collect()
            }
            TargetSpec::Node { container, port } => {
                vec![(host.or(Some(*port)), Target::Node { container: container.clone(), port: *port })]
            }
            TargetSpec::Object { port, .. } => {
                let Some(object) = self.object(ground.namespace) else { return Ok(Vec::new()) };
                return target::wanted(object, port.as_ref(), self.protocols, ground.objects)
                    .map(|found| found.into_iter().map(|found| found.at(&addresses, host)).collect());
            }
        };
        let protocols = self.protocols.unwrap_or(Protocols::Tcp).each();
        let wanted = |port, target: &Target, protocol| Wanted {
            addresses: addresses.clone(),
            port,
            protocol,
            target: target.clone(),
            advice: Advice::default(),
        };
        Ok(targets
            .iter()
            .flat_map(|(port, target)| protocols.iter().map(|protocol| wanted(*port, target, *protocol)))
            .collect())
    }
}

/// What a specification is read against.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The host addresses to listen on, where none were typed.
    pub addresses: &'a HostAddresses,
    /// The namespace of objects for which none was typed.
    pub namespace: &'a str,
    /// What is known of the objects that specifications name.
    pub objects: &'a Objects,
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

/// The mappings of a specification that names no object.
#[cfg(test)]
pub(crate) fn mappings(text: &str) -> Vec<Mapping> {
    let ground = Ground { addresses: &HostAddresses::loopback(), namespace: "default", objects: &Objects::default() };
    crate::host_port::assign(PortSpec::parse(text).unwrap().wanted(ground).unwrap(), &[], |_| true).unwrap()
}

#[cfg(test)]
mod tests;
