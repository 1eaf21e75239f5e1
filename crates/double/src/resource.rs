//! What the API serves, and what may be done to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A resource of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resource {
    /// `v1` Service.
    Services,
    /// `discovery.k8s.io/v1` `EndpointSlice`.
    EndpointSlices,
    /// `v1` Pod.
    Pods,
    /// The subresource of a Pod that carries port-forwards.
    #[serde(rename = "pods/portforward")]
    PortForward,
    /// `v1` Node.
    Nodes,
    /// `v1` Namespace.
    Namespaces,
    /// `apps/v1` Deployment.
    Deployments,
    /// `apps/v1` `StatefulSet`.
    StatefulSets,
    /// `apps/v1` `DaemonSet`.
    DaemonSets,
    /// `apps/v1` `ReplicaSet`.
    ReplicaSets,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Services,
        Self::EndpointSlices,
        Self::Pods,
        Self::PortForward,
        Self::Nodes,
        Self::Namespaces,
        Self::Deployments,
        Self::StatefulSets,
        Self::DaemonSets,
        Self::ReplicaSets,
    ];

    /// The API group; empty for the core group.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Services | Self::Pods | Self::PortForward | Self::Nodes | Self::Namespaces => "",
            Self::EndpointSlices => "discovery.k8s.io",
            Self::Deployments | Self::StatefulSets | Self::DaemonSets | Self::ReplicaSets => "apps",
        }
    }

    /// The name in paths.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Services => "services",
            Self::EndpointSlices => "endpointslices",
            Self::Pods => "pods",
            Self::PortForward => "pods/portforward",
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::Deployments => "deployments",
            Self::StatefulSets => "statefulsets",
            Self::DaemonSets => "daemonsets",
            Self::ReplicaSets => "replicasets",
        }
    }

    /// The kind of the objects.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Services => "Service",
            Self::EndpointSlices => "EndpointSlice",
            Self::Pods => "Pod",
            Self::PortForward => "PodPortForwardOptions",
            Self::Nodes => "Node",
            Self::Namespaces => "Namespace",
            Self::Deployments => "Deployment",
            Self::StatefulSets => "StatefulSet",
            Self::DaemonSets => "DaemonSet",
            Self::ReplicaSets => "ReplicaSet",
        }
    }

    /// The abbreviation that kubectl knows.
    pub(crate) const fn short(self) -> Option<&'static str> {
        match self {
            Self::Services => Some("svc"),
            Self::Pods => Some("po"),
            Self::Nodes => Some("no"),
            Self::Namespaces => Some("ns"),
            Self::Deployments => Some("deploy"),
            Self::StatefulSets => Some("sts"),
            Self::DaemonSets => Some("ds"),
            Self::ReplicaSets => Some("rs"),
            Self::EndpointSlices | Self::PortForward => None,
        }
    }

    /// Whether its objects are in namespaces.
    pub const fn is_namespaced(self) -> bool {
        !matches!(self, Self::Nodes | Self::Namespaces)
    }

    /// `GROUP/VERSION`, as objects carry it.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::EndpointSlices => "discovery.k8s.io/v1",
            Self::Deployments | Self::StatefulSets | Self::DaemonSets | Self::ReplicaSets => "apps/v1",
            _ => "v1",
        }
    }

    /// The resource of a path, which is no subresource.
    pub(crate) fn in_group(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.group() == group && resource.plural() == plural)
    }

    /// The resource whose objects carry these.
    pub(crate) fn of_kind(api_version: &str, kind: &str) -> Option<Self> {
        let known = |resource: &Self| resource.api_version() == api_version && resource.kind() == kind;
        Self::ALL.into_iter().filter(|resource| *resource != Self::PortForward).find(known)
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.plural())
    }
}

/// What a request does, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One object; or a port-forward over a WebSocket.
    Get,
    /// All objects.
    List,
    /// All changes.
    Watch,
    /// A port-forward over SPDY, and, as a second right, one over a WebSocket.
    Create,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
        })
    }
}
