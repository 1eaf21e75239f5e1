//! Why a command failed.

mod hint;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;

use portgate_core::cluster::Provider;
use portgate_core::host_port::NoHostPort;
use portgate_core::kubernetes::ObjectKey;
use portgate_core::mapping::{Local, Target};
use portgate_core::plan::Conflict;
use portgate_core::spec::{Selector, TargetError};
use portgate_core::table::NoBackend;
use portgate_docker::engine::NoHost;
use portgate_docker::{call, clusters, engine, gate as gates, image};
use portgate_gate::client::ClientError;
use portgate_gate::door::DoorError;
use portgate_gate::leftovers;
use portgate_gate::worker::WorkerError;
use portgate_gate::{GateError, StoreError};
use portgate_kube::access::Error as AccessError;
use portgate_kube::error::Error as ApiError;

use crate::args::WordError;
use crate::site::Site;
use crate::view;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    Call(#[from] call::Error),
    #[error(transparent)]
    Cluster(#[from] clusters::Error),
    #[error(transparent)]
    Image(#[from] image::Error),
    #[error(transparent)]
    ImageStore(#[from] image::StoreError),
    #[error(transparent)]
    Create(#[from] gates::Error),
    #[error(transparent)]
    Exec(#[from] gates::ControlError),
    #[error(transparent)]
    State(#[from] gates::StateError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Leftovers(#[from] leftovers::Error),
    #[error(transparent)]
    Sweep(#[from] gates::SweepError),
    #[error(transparent)]
    Access(AccessError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Door(DoorError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    HostPort(#[from] NoHostPort),
    #[error(transparent)]
    Word(#[from] WordError),
    #[error("there is no {kind} {name} in namespace {namespace}", kind = object.kind.noun(), name = object.name, namespace = object.namespace)]
    UnknownObject { object: ObjectKey, nearest: Option<String>, known: Vec<String> },
    #[error("there is no namespace {name}")]
    UnknownNamespace { name: String, nearest: Option<String>, known: Vec<String> },
    #[error("no Service matches{}{}", selector.as_ref().map(|selector| format!(" the selector {selector}")).unwrap_or_default(), namespace.as_ref().map(|namespace| format!(" in namespace {namespace}")).unwrap_or_default())]
    NoServices { selector: Option<String>, namespace: Option<String> },
    #[error("{target} is UDP, which the Kubernetes API server does not carry")]
    UdpByApi { target: Target },
    #[error("{target} is no Service, pod or workload, and the Kubernetes API server leads to nothing else")]
    NotByApi { target: Target },
    #[error("{why}")]
    NoBackend { why: NoBackend },
    #[error("{target} has no node port: only a route leads to it, which a gate with the relay datapath cannot make")]
    NeedsRoute { target: Target },
    #[error(transparent)]
    Conflict(#[from] Conflict),
    #[error("host placement cannot be had: {0}")]
    NoHostPlacement(NoHost),
    #[error("the ports of cluster {cluster} are in {} placement, with the {} datapath", site.placement, site.datapath.name())]
    OtherSite { cluster: String, site: Site },
    #[error("there is no running cluster")]
    NoCluster,
    #[error("there are several clusters: {}", names.join(", "))]
    SeveralClusters { names: Vec<String> },
    #[error("containers on network {network} have no addresses of their own")]
    UnusableNetwork { network: String },
    #[error("there is no cluster named {name}")]
    UnknownCluster { name: String, nearest: Option<String>, known: Vec<String> },
    #[error("cluster {name} is stopped")]
    ClusterStopped { name: String, provider: Provider, node: Option<String> },
    #[error("node {node} is stopped")]
    NodeStopped { node: String },
    #[error("no container named {name} runs on network {network}")]
    UnknownContainer { name: String, network: String, nearest: Option<String>, known: Vec<String> },
    #[error("{address}/{protocol} is taken by {holder}", protocol = local.protocol)]
    PortTaken { local: Local, address: SocketAddr, holder: String },
    #[error("this user may not listen on {local}")]
    PortPrivileged { local: Local },
    #[error("{} is not an address of this machine", address.ip())]
    NoAddress {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("{count} ports at once")]
    Many { count: usize },
    #[error("{selector} is not open{}", cluster.as_ref().map(|name| format!(" on cluster {name}")).unwrap_or_default())]
    NotOpen { selector: Selector, cluster: Option<String>, open: Vec<Local> },
    #[error("no port is open{}", cluster.as_ref().map(|name| format!(" on cluster {name}")).unwrap_or_default())]
    NothingOpen { cluster: Option<String> },
    #[error("gate {gate} is {state}")]
    GateNotRunning { gate: String, state: String },
    #[error("gate {gate} does not answer: {why}")]
    GateSilent { gate: String, why: String },
    #[error("gate {gate} runs portgate {theirs}, which is newer than this one ({ours})")]
    GateNewer { gate: String, theirs: String, ours: &'static str },
    #[error("the gates of cluster {cluster} keep changing")]
    Contended { cluster: String },
    #[error("{broken} of {} cannot be reached yet", view::count(*opened, "opened port"))]
    Unproven { broken: usize, opened: usize },
    #[error("{broken} of {} cannot be reached", view::count(*tested, "port"))]
    Broken { broken: usize, tested: usize },
    #[error("{target} cannot be reached from the new gate: {why}")]
    WorseThanBefore { target: Target, why: String },
    #[error("gate {gate} ended at once{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    GateEnded { gate: String, said: String },
    #[error("cannot {action}")]
    System {
        action: String,
        #[source]
        source: io::Error,
    },
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<call::Error>),
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// What the operating system refused.
    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        move |source| Self::System { action, source }
    }

    /// Whether the reader of the output has gone, as `head` does once it has enough.
    pub(crate) fn is_reader_gone(&self) -> bool {
        matches!(self, Self::System { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
    }

    /// What the process's exit status is.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => 130,
            Self::Many { .. } | Self::Word(_) | Self::UdpByApi { .. } | Self::NotByApi { .. } => 2,
            _ => 1,
        }
    }
}

/// What a door could not find is told in the words of what it looked for.
impl From<DoorError> for Failure {
    fn from(error: DoorError) -> Self {
        match error {
            DoorError::Access(error) => Self::Access(error),
            error => Self::Door(error),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}
