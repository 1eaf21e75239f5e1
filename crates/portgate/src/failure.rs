//! Why a command failed, and what to do about it.

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

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Engine(error) => error.hint(),
            Self::Call(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::ImageStore(error) => error.hint(),
            Self::Create(error) => error.hint(),
            Self::Exec(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Client(_) => Some("`portgate logs` shows what the gate says".to_owned()),
            Self::Access(error) => error.hint(),
            Self::Api(error) => error.hint(),
            Self::Door(error) => error.hint(),
            Self::Target(error) => Some(error.hint()),
            Self::HostPort(error) => Some(error.hint()),
            Self::Word(error) => Some(error.hint().to_owned()),
            Self::NoBackend { why } => no_backend_hint(why),
            Self::Conflict(error) => Some(error.hint()),
            Self::Gate(_)
            | Self::Store(_)
            | Self::Several(_)
            | Self::GateEnded { .. }
            | Self::System { .. }
            | Self::Interrupted => None,
            other => Some(other.own_hint()),
        }
    }

    fn own_hint(&self) -> String {
        match self {
            Self::WorseThanBefore { .. } => "the ports are where they were; `portgate test` tries them".to_owned(),
            Self::NoHostPlacement(_) => "`--placement published` works with every engine".to_owned(),
            Self::OtherSite { .. } => {
                "leave --placement and --datapath away, or move them all with `portgate migrate`".to_owned()
            }
            Self::NoCluster => "`portgate clusters` lists all; `--network NAME` takes any Docker network; \
                                `portgate demo` makes a cluster to try"
                .to_owned(),
            Self::SeveralClusters { names } => {
                let first = names.first().map_or("NAME", String::as_str);
                format!("choose one with `--cluster {first}`, or set PORTGATE_CLUSTER")
            }
            Self::UnknownCluster { nearest, known, .. } => suggestion(nearest.as_ref(), known, "clusters"),
            Self::UnknownContainer { nearest, known, .. } => suggestion(nearest.as_ref(), known, "containers"),
            Self::UnknownObject { object, nearest, known } => suggestion(
                nearest.as_ref(),
                known,
                &format!("{} in namespace {}", object.kind.resource(), object.namespace),
            ),
            Self::UnknownNamespace { nearest, known, .. } => suggestion(nearest.as_ref(), known, "namespaces"),
            Self::NoServices { .. } => "`portgate services` lists all".to_owned(),
            Self::UdpByApi { target } => {
                format!("the gate of a local cluster reaches it without the API server: `portgate open {target}`")
            }
            Self::NotByApi { target } => format!("`portgate open {target}` leads there over the cluster's network"),
            Self::NeedsRoute { .. } => "`portgate migrate --datapath kernel` makes a gate that can".to_owned(),
            Self::ClusterStopped { name, provider, node } => match (provider, node) {
                (Provider::K3d, _) => format!("start it with `k3d cluster start {name}`"),
                (Provider::Minikube, _) => format!("start it with `minikube start -p {name}`"),
                (_, Some(node)) => format!("start it with `docker start {node}`"),
                (_, None) => format!("no container runs on network {name}; `docker ps -a` shows those that could"),
            },
            Self::PortTaken { local, .. } => {
                format!("name another host port, as HOSTPORT:TARGET; or free {}/{}", local.port, local.protocol)
            }
            Self::PortPrivileged { local } => {
                format!("name a local port above 1023, as {}:REMOTE", 8000 + u32::from(local.port.number()))
            }
            Self::Many { count } => {
                format!(
                    "Docker runs a process for each port and host address, {count} ports would take long; --yes goes on"
                )
            }
            Self::NotOpen { open, .. } if open.is_empty() => "no port is open".to_owned(),
            Self::NotOpen { open, .. } => {
                format!("open are {}", open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
            Self::NothingOpen { .. } => "open one with `portgate open PORT`".to_owned(),
            Self::GateNotRunning { .. } => "start it with `portgate start`".to_owned(),
            Self::GateSilent { .. } => "`portgate logs` shows what it says; `portgate restart` restarts it".to_owned(),
            Self::GateNewer { .. } => "upgrade this portgate; `portgate down` would remove the gate".to_owned(),
            Self::Contended { .. } => "another portgate works on the same cluster: try again".to_owned(),
            Self::Unproven { .. } => {
                "what is open stays open, and leads to its target as soon as that listens; `portgate test` tries again"
                    .to_owned()
            }
            Self::Broken { .. } => "`portgate logs` shows what the gate says".to_owned(),
            Self::NodeStopped { node } => format!("start it with `docker start {node}`"),
            Self::UnusableNetwork { .. } => {
                "name the network that the nodes are on; `docker network ls` lists all".to_owned()
            }
            Self::NoAddress { .. } => "`ip address` lists this machine's; 0.0.0.0 stands for all of them".to_owned(),
            _ => String::new(),
        }
    }
}

fn no_backend_hint(why: &NoBackend) -> Option<String> {
    match why {
        NoBackend::NoEndpoint { object } | NoBackend::NotReady { object } | NoBackend::NoPod { object } => {
            let (kind, name, namespace) = (object.kind.short(), &object.name, &object.namespace);
            Some(format!(
                "`kubectl describe {kind}/{name} -n {namespace}` shows its selector, `kubectl get pods -n {namespace}` the pods"
            ))
        }
        _ => None,
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

fn suggestion(nearest: Option<&String>, known: &[String], what: &str) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("did you mean {nearest}?"),
        (None, []) => format!("there are no {what}"),
        (None, known) => format!("there are {}", known.join(", ")),
    }
}
