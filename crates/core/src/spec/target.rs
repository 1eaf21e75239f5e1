//! Which ports of an object a specification means.

use std::fmt::Display;

use crate::host_port::{Advice, Wanted};
use crate::kubernetes::{EndpointPort, Exposure, Kind, ObjectKey, Objects, Pod, PortName, Service, ServicePort};
use crate::mapping::{HostAddresses, Target};
use crate::port::{Port, Protocol, Protocols};
use crate::suggest;

/// A target that cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// There is no such object.
    #[error("there is no {kind} {name} in namespace {namespace}", kind = object.kind.noun(), name = object.name, namespace = object.namespace)]
    NotFound {
        /// The object.
        object: Box<ObjectKey>,
    },
    /// A Service with several ports, of which none was named.
    #[error("{object} has several ports: {}", ports.join(", "))]
    SeveralPorts {
        /// The Service.
        object: Box<ObjectKey>,
        /// Its ports.
        ports: Vec<String>,
    },
    /// The object has no such port.
    #[error("{object} has no port {port}")]
    NoPort {
        /// The object.
        object: Box<ObjectKey>,
        /// What was typed.
        port: PortName,
        /// The name of a port that was probably meant.
        nearest: Option<String>,
        /// Its ports.
        ports: Vec<String>,
    },
    /// The object has no port that can be opened.
    #[error("{object} has no TCP or UDP port")]
    NoPorts {
        /// The object.
        object: Box<ObjectKey>,
    },
    /// The port has another protocol.
    #[error("port {port} of {object} is not {asked}")]
    Protocol {
        /// The Service.
        object: Box<ObjectKey>,
        /// The port.
        port: PortName,
        /// What was typed and the port has not.
        asked: Protocol,
        /// Its ports.
        ports: Vec<String>,
    },
    /// The Service is another name of something outside the cluster.
    #[error("{object} is an ExternalName: it leads to {name}, outside of the cluster")]
    ExternalName {
        /// The Service.
        object: Box<ObjectKey>,
        /// What it is a name of.
        name: String,
    },
}

impl TargetError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NotFound { object } => {
                format!("`kubectl get {} -n {}` lists those that there are", object.kind.resource(), object.namespace)
            }
            Self::SeveralPorts { object, ports } => {
                let first = ports.first().and_then(|port| port.split(['/', ' ']).next()).unwrap_or_default();
                format!("name one of them, as {object}:{first}")
            }
            Self::NoPort { nearest: Some(nearest), .. } => format!("did you mean {nearest}?"),
            Self::NoPort { ports, .. } | Self::Protocol { ports, .. } if !ports.is_empty() => {
                format!("its ports are {}", ports.join(", "))
            }
            Self::NoPort { .. } | Self::Protocol { .. } => "name the port by its number".to_owned(),
            Self::NoPorts { object } => {
                format!(
                    "name a Service with ports; `kubectl describe {}/{} -n {}` shows this one",
                    object.kind.short(),
                    object.name,
                    object.namespace
                )
            }
            Self::ExternalName { name, .. } => format!("connect to {name} itself"),
        }
    }
}

/// A port of an object that is meant.
pub(super) struct Found {
    target: Target,
    protocol: Protocol,
    advice: Advice,
}

impl Found {
    pub(super) fn at(self, addresses: &HostAddresses, port: Option<Port>) -> Wanted {
        let Self { target, protocol, advice } = self;
        Wanted { addresses: addresses.clone(), port, protocol, target, advice }
    }
}

pub(super) fn wanted(
    object: ObjectKey,
    port: Option<&PortName>,
    protocols: Option<Protocols>,
    objects: &Objects,
) -> Result<Vec<Found>, TargetError> {
    if object.kind == Kind::Service {
        let Some(service) = objects.services.get(&object) else {
            return Err(TargetError::NotFound { object: Box::new(object) });
        };
        return of_service(&object, service, port, protocols);
    }
    let Some(pods) = objects.pods.get(&object) else { return Err(TargetError::NotFound { object: Box::new(object) }) };
    of_pods(&object, pods, port, protocols)
}

fn of_service(
    object: &ObjectKey,
    service: &Service,
    name: Option<&PortName>,
    protocols: Option<Protocols>,
) -> Result<Vec<Found>, TargetError> {
    let object = || Box::new(object.clone());
    if let Exposure::ExternalName { name } = &service.exposure {
        return Err(TargetError::ExternalName { object: object(), name: name.clone() });
    }
    let list = || service.ports.iter().map(describe).collect::<Vec<_>>();
    let first = service.ports.first().ok_or_else(|| TargetError::NoPorts { object: object() })?;
    let name = match name {
        Some(name) => name.clone(),
        None if service.ports.iter().all(|port| port.port == first.port) => PortName::Number(first.port),
        None => return Err(TargetError::SeveralPorts { object: object(), ports: list() }),
    };
    let meant: Vec<&ServicePort> = service.ports.iter().filter(|port| port.is_called(&name)).collect();
    if meant.is_empty() {
        let names = service.ports.iter().filter_map(|port| port.name.as_deref());
        return Err(TargetError::NoPort {
            object: object(),
            nearest: nearest(&name, names),
            port: name,
            ports: list(),
        });
    }
    let asked = protocols.map_or(&[][..], Protocols::each).iter();
    if let Some(&asked) = asked.clone().find(|asked| !meant.iter().any(|port| port.protocol == **asked)) {
        return Err(TargetError::Protocol { object: object(), port: name, asked, ports: list() });
    }
    let is_asked = |port: &&&ServicePort| protocols.is_none_or(|protocols| protocols.each().contains(&port.protocol));
    let found = |port: &&ServicePort| Found {
        target: Target::Object { object: *object(), port: name.clone() },
        protocol: port.protocol,
        advice: Advice { node_port: port.node_port, port: Some(port.port), name: port.name.clone() },
    };
    Ok(meant.iter().filter(is_asked).map(found).collect())
}

/// Every port of a Service, each with its own protocol. None of one that leads outside.
pub fn every_port(object: &ObjectKey, service: &Service, addresses: &HostAddresses) -> Vec<Wanted> {
    let found = |port: &ServicePort| Found {
        target: Target::Object { object: object.clone(), port: PortName::Number(port.port) },
        protocol: port.protocol,
        advice: Advice { node_port: port.node_port, port: Some(port.port), name: port.name.clone() },
    };
    let is_outside = matches!(service.exposure, Exposure::ExternalName { .. });
    let ports = if is_outside { &[][..] } else { &service.ports };
    ports.iter().map(|port| found(port).at(addresses, None)).collect()
}

fn of_pods(
    object: &ObjectKey,
    pods: &[Pod],
    name: Option<&PortName>,
    protocols: Option<Protocols>,
) -> Result<Vec<Found>, TargetError> {
    let Some(name) = name else { return Err(TargetError::NoPorts { object: Box::new(object.clone()) }) };
    let protocols = protocols.unwrap_or(Protocols::Tcp).each();
    let found = |protocol: &Protocol| {
        let number = match name {
            PortName::Number(port) => Some(*port),
            PortName::Name(_) => pods.iter().find_map(|pod| pod.port(name, *protocol)),
        };
        let target = Target::Object { object: object.clone(), port: name.clone() };
        let label = if let PortName::Name(label) = name { Some(label.clone()) } else { None };
        let advice = Advice { node_port: None, port: number, name: label };
        number.map(|_| Found { target, protocol: *protocol, advice }).ok_or_else(|| {
            let declared = || pods.iter().flat_map(|pod| &pod.ports);
            let nearest = nearest(name, declared().filter_map(|port| port.name.as_deref()));
            let mut ports: Vec<String> = declared().map(declaration).collect();
            ports.sort();
            ports.dedup();
            TargetError::NoPort { object: Box::new(object.clone()), port: name.clone(), nearest, ports }
        })
    };
    protocols.iter().map(found).collect()
}

fn nearest<'a>(name: &PortName, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let PortName::Name(name) = name else { return None };
    suggest::nearest(name, names).map(str::to_owned)
}

/// `80/tcp (http)`
fn describe(port: &ServicePort) -> String {
    named(port.port, port.protocol, port.name.as_deref())
}

fn declaration(port: &EndpointPort) -> String {
    named(port.port, port.protocol, port.name.as_deref())
}

fn named(port: Port, protocol: impl Display, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{port}/{protocol} ({name})"),
        None => format!("{port}/{protocol}"),
    }
}
