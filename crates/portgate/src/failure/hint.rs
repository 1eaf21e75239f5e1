//! What to do about a failure.

use portgate_core::cluster::Provider;
use portgate_core::control::Refusal;
use portgate_core::state::StateError;
use portgate_core::table::NoBackend;
use portgate_gate::StoreError;
use portgate_gate::client::ClientError;

use super::Failure;

impl Failure {
    /// What to do about it, where there is something to say: never an empty text.
    pub(crate) fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Engine(error) => return error.hint(),
            Self::Call(error) => return error.hint(),
            Self::Cluster(error) => return error.hint(),
            Self::Image(error) => return error.hint(),
            Self::ImageStore(error) => return error.hint(),
            Self::Create(error) => return error.hint(),
            Self::Exec(error) => return error.hint(),
            Self::State(error) => return error.hint(),
            Self::Sweep(error) => return error.hint(),
            Self::Access(error) => return error.hint(),
            Self::Api(error) => return error.hint(),
            Self::Door(error) => return error.hint(),
            Self::Store(error) => return of_store(error),
            Self::NoBackend { why } => return of_no_backend(why),
            Self::Gate(_)
            | Self::Worker(_)
            | Self::Leftovers(_)
            | Self::Several(_)
            | Self::GateEnded { .. }
            | Self::System { .. }
            | Self::Interrupted => return None,
            Self::Client(ClientError::Refused(Refusal::State { .. })) => {
                "make room for it in the gate's volume, on the engine's machine; `portgate close` works without"
                    .to_owned()
            }
            Self::Client(_) | Self::Broken { .. } => "`portgate logs` shows what the gate says".to_owned(),
            Self::Target(error) => error.hint(),
            Self::HostPort(error) => error.hint(),
            Self::Word(error) => error.hint().to_owned(),
            Self::Conflict(error) => error.hint(),
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
            Self::ClusterStopped { name, provider, node } => of_stopped_cluster(name, *provider, node.as_ref()),
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
            Self::NodeStopped { node } => format!("start it with `docker start {node}`"),
            Self::UnusableNetwork { .. } => {
                "name the network that the nodes are on; `docker network ls` lists all".to_owned()
            }
            Self::NoAddress { .. } => "`ip address` lists this machine's; 0.0.0.0 stands for all of them".to_owned(),
        };
        Some(text)
    }
}

/// Only gates in process placement have their state file on this machine.
fn of_store(error: &StoreError) -> Option<String> {
    match error {
        StoreError::Unusable { source: StateError::Newer { .. }, .. } => {
            Some("use the portgate that wrote it".to_owned())
        }
        StoreError::Unusable { path, .. } | StoreError::Read { path, .. } => {
            let directory = path.parent()?.display();
            Some(format!("`rm -r {directory}` forgets that gate; then open its ports again"))
        }
        StoreError::Write { .. } => None,
    }
}

fn of_stopped_cluster(name: &str, provider: Provider, node: Option<&String>) -> String {
    match (provider, node) {
        (Provider::K3d, _) => format!("start it with `k3d cluster start {name}`"),
        (Provider::Minikube, _) => format!("start it with `minikube start -p {name}`"),
        (_, Some(node)) => format!("start it with `docker start {node}`"),
        (_, None) => format!("no container runs on network {name}; `docker ps -a` shows those that could"),
    }
}

fn of_no_backend(why: &NoBackend) -> Option<String> {
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

fn suggestion(nearest: Option<&String>, known: &[String], what: &str) -> String {
    match (nearest, known) {
        (Some(nearest), _) => format!("did you mean {nearest}?"),
        (None, []) => format!("there are no {what}"),
        (None, known) => format!("there are {}", known.join(", ")),
    }
}
