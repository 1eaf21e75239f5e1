//! What a Kubernetes API server tells of the objects that targets name.
//!
//! Only what decides where a mapping leads is kept: a gate's memory holds this, and not the objects themselves.

#[cfg(test)]
pub(crate) mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::port::{Port, Protocol};

/// The kinds of objects that a target can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A Service.
    Service,
    /// One pod.
    Pod,
    /// The pods of a Deployment.
    Deployment,
    /// The pods of a `StatefulSet`.
    StatefulSet,
    /// The pods of a `DaemonSet`.
    DaemonSet,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Service, Self::Pod, Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// The short name in the port syntax and in listings, as kubectl has it.
    pub const fn short(self) -> &'static str {
        match self {
            Self::Service => "svc",
            Self::Pod => "pod",
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
        }
    }

    /// The name of many in an API server's paths and rules.
    pub const fn resource(self) -> &'static str {
        match self {
            Self::Service => "services",
            Self::Pod => "pods",
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    /// The name of one in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::Pod => "pod",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The kind that kubectl knows by this word: short, singular or plural.
    pub fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "svc" | "service" | "services" => Self::Service,
            "po" | "pod" | "pods" => Self::Pod,
            "deploy" | "deployment" | "deployments" => Self::Deployment,
            "sts" | "statefulset" | "statefulsets" => Self::StatefulSet,
            "ds" | "daemonset" | "daemonsets" => Self::DaemonSet,
            _ => return None,
        })
    }
}

/// Which object. As text it is `svc/web.shop`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.kind.short(), self.name, self.namespace)
    }
}

/// A port of an object, as the user named it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PortName {
    /// By number.
    Number(Port),
    /// By name: lower-case letters, digits and dashes, with at least one letter.
    Name(String),
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(port) => port.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl FromStr for PortName {
    type Err = std::num::ParseIntError;

    /// A text of digits is a number, and must be a port; any other is a name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.chars().all(|c| c.is_ascii_digit()) {
            Ok(Self::Number(text.parse::<std::num::NonZeroU16>().map(Port::from)?))
        } else {
            Ok(Self::Name(text.to_owned()))
        }
    }
}

/// All that is known of the objects that targets name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Objects {
    /// The Services, in the order of their keys.
    #[serde(with = "entries", skip_serializing_if = "BTreeMap::is_empty")]
    pub services: BTreeMap<ObjectKey, Service>,
    /// For each pod or workload its pods.
    #[serde(with = "entries", skip_serializing_if = "BTreeMap::is_empty")]
    pub pods: BTreeMap<ObjectKey, Vec<Pod>>,
    /// The Kubernetes nodes that are ready, by name; none if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_nodes: Option<BTreeSet<String>>,
    /// Why this is not the newest, or not all: the API server's refusal, or that it cannot be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Objects {
    /// Takes note of what is known by now. What `newer` does not tell of stays.
    pub fn update(&mut self, newer: &Self) {
        self.services.extend(newer.services.clone());
        self.pods.extend(newer.pods.clone());
        if newer.ready_nodes.is_some() {
            self.ready_nodes.clone_from(&newer.ready_nodes);
        }
    }

    /// Only what is known of these.
    #[must_use]
    pub fn of<'a>(&self, keys: impl IntoIterator<Item = &'a ObjectKey>) -> Self {
        let keys: BTreeSet<&ObjectKey> = keys.into_iter().collect();
        let mut own = self.clone();
        own.services.retain(|key, _| keys.contains(key));
        own.pods.retain(|key, _| keys.contains(key));
        own
    }
}

/// How a Service is exposed: its `spec.type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exposure {
    /// Within the cluster only.
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// By a port of every node.
    NodePort,
    /// By a load balancer.
    LoadBalancer,
    /// It is another name of something outside, and leads nowhere in the cluster.
    ExternalName {
        /// That name.
        name: String,
    },
}

impl Exposure {
    /// The name that it has in Kubernetes.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
            Self::ExternalName { .. } => "ExternalName",
        }
    }
}

/// A Service and its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// How it is exposed.
    pub exposure: Exposure,
    /// Its addresses within the cluster; none of a headless one.
    pub cluster_ips: Vec<IpAddr>,
    /// Its addresses outside, as far as they are IP addresses (`status.loadBalancer.ingress`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<IpAddr>,
    /// Its ports; those of other protocols than TCP and UDP are left out.
    pub ports: Vec<ServicePort>,
    /// Whether a node serves it only if one of its pods runs there (`externalTrafficPolicy: Local`).
    #[serde(default)]
    pub local_only: bool,
    /// The endpoints of all its `EndpointSlice`s.
    pub endpoints: Vec<Endpoint>,
}

impl Service {
    /// Whether it has no address of its own within the cluster.
    pub fn is_headless(&self) -> bool {
        self.cluster_ips.is_empty() && !matches!(self.exposure, Exposure::ExternalName { .. })
    }

    /// The port that is meant, for this protocol.
    pub fn port(&self, name: &PortName, protocol: Protocol) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.protocol == protocol && port.is_called(name))
    }

    /// The endpoints that take new connections.
    pub fn ready(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.ready && !endpoint.terminating)
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name; one that is the only port may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: Port,
    /// The port of the nodes that leads to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_port: Option<Port>,
}

impl ServicePort {
    /// Whether a user may call it so.
    pub fn is_called(&self, name: &PortName) -> bool {
        match name {
            PortName::Number(port) => self.port == *port,
            PortName::Name(name) => self.name.as_ref() == Some(name),
        }
    }
}

/// One end of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its address, of the pods' network or of a node.
    pub address: IpAddr,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The pod that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Whether it takes new connections.
    pub ready: bool,
    /// Whether it is about to end.
    #[serde(default)]
    pub terminating: bool,
    /// Its ports.
    pub ports: Vec<EndpointPort>,
}

impl Endpoint {
    /// The port behind this port of its Service: they have the same name.
    pub fn port(&self, of: &ServicePort) -> Option<Port> {
        let name = of.name.as_deref().unwrap_or_default();
        let same =
            |port: &&EndpointPort| port.protocol == of.protocol && port.name.as_deref().unwrap_or_default() == name;
        self.ports.iter().find(same).map(|port| port.port)
    }
}

/// A port of an endpoint or of a pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPort {
    /// The name of the Service's port, or of the container's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number.
    pub port: Port,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its address; none as long as it has not started.
    pub address: Option<IpAddr>,
    /// The node that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Whether it takes new connections.
    pub ready: bool,
    /// Whether it is about to end.
    #[serde(default)]
    pub terminating: bool,
    /// The ports that its containers declare.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<EndpointPort>,
}

impl Pod {
    /// The number of the port that is meant. A number need not be declared.
    pub fn port(&self, name: &PortName, protocol: Protocol) -> Option<Port> {
        match name {
            PortName::Number(port) => Some(*port),
            PortName::Name(name) => {
                let same = |port: &&EndpointPort| port.protocol == protocol && port.name.as_ref() == Some(name);
                self.ports.iter().find(same).map(|port| port.port)
            }
        }
    }
}

/// Maps as lists of pairs: a key that is an object cannot be one of JSON's keys.
mod entries {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<K: Serialize, V: Serialize, S: Serializer>(
        map: &BTreeMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<K, V>, D::Error> {
        Vec::deserialize(deserializer).map(|pairs: Vec<(K, V)>| pairs.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_survives_a_state_file() {
        let key = ObjectKey { kind: Kind::Service, namespace: "shop".to_owned(), name: "web".to_owned() };
        let port = ServicePort {
            name: Some("http".to_owned()),
            protocol: Protocol::Tcp,
            port: Port::new(80).unwrap(),
            node_port: None,
        };
        let service = Service {
            exposure: Exposure::ExternalName { name: "example.org".to_owned() },
            cluster_ips: Vec::new(),
            ingress: Vec::new(),
            ports: vec![port],
            local_only: false,
            endpoints: Vec::new(),
        };
        let objects = Objects { services: [(key.clone(), service)].into(), ..Objects::default() };
        let text = serde_json::to_string(&objects).unwrap();
        assert_eq!(serde_json::from_str::<Objects>(&text).unwrap(), objects);
        assert_eq!(objects.of([&key]), objects);
        assert_eq!(objects.of([]), Objects::default());
        assert_eq!(key.to_string(), "svc/web.shop");
    }

    #[test]
    fn every_kind_is_known_by_its_short_name_and_its_resource() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.short()), Some(kind));
            assert_eq!(Kind::from_word(kind.resource()), Some(kind));
        }
        assert_eq!(Kind::from_word("ingress"), None);
    }

    #[test]
    fn digits_are_a_port_and_all_else_is_a_name() {
        assert_eq!("80".parse(), Ok(PortName::Number(Port::new(80).unwrap())));
        assert_eq!("http".parse(), Ok(PortName::Name("http".to_owned())));
        assert!("0".parse::<PortName>().is_err());
        assert!("65536".parse::<PortName>().is_err());
        assert_eq!(serde_json::to_string(&PortName::Name("http".to_owned())).unwrap(), r#""http""#);
        assert_eq!(serde_json::from_str::<PortName>("80").unwrap(), "80".parse().unwrap());
    }
}
