//! The gates that there are: containers of an engine, and processes of this user.

use std::time::Duration;

use futures_util::future::try_join_all;
use portgate_core::cluster::ClusterId;
use portgate_core::control::{Detail, Request, Response};
use portgate_core::limits::{ANSWER_TIME, EXEC_TIME};
use portgate_core::mapping::Mapping;
use portgate_core::plan::RunningGate;
use portgate_core::state::GateState;
use portgate_core::status::{Counters, Datapath, GateStatus, MappingState, MappingStatus, Placement, RelayReason};
use portgate_docker::engine::Engine;
use portgate_docker::gate::{self as containers, GateContainer, RunState};
use portgate_gate::Store;
use portgate_gate::client::{ClientError, Session};
use portgate_gate::paths::{ProcessPaths, host_socket};
use semver::Version;
use tokio::net::UnixStream;

use crate::args::ClusterArguments;
use crate::choice;
use crate::failure::Failure;
use crate::process_gate;

/// This portgate's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long a process gate's socket is waited for. It is there for as long as the gate lives.
const SOCKET_PATIENCE: Duration = Duration::ZERO;

/// A gate, running or not.
#[derive(Clone, Debug)]
pub(crate) enum Gate {
    /// A container of the engine.
    Container(GateContainer),
    /// A process of this user.
    Process { name: String, cluster: ClusterId, paths: ProcessPaths },
}

impl Gate {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Container(container) => &container.name,
            Self::Process { name, .. } => name,
        }
    }

    pub(crate) fn cluster(&self) -> &ClusterId {
        match self {
            Self::Container(container) => &container.cluster,
            Self::Process { cluster, .. } => cluster,
        }
    }

    /// The cluster's network; a process needs none.
    pub(crate) fn network(&self) -> Option<&String> {
        match self {
            Self::Container(container) => Some(&container.network),
            Self::Process { .. } => None,
        }
    }

    pub(crate) fn placement(&self) -> Placement {
        match self {
            Self::Container(container) => container.placement.unwrap_or(Placement::Published),
            Self::Process { .. } => Placement::Process,
        }
    }

    /// The gate as the planner sees it.
    pub(crate) fn running(&self, status: &GateStatus) -> RunningGate {
        let published = match self {
            Self::Container(container) => container.published.clone(),
            Self::Process { .. } => Vec::new(),
        };
        let mapping = |status: &MappingStatus| Mapping { local: status.local.clone(), target: status.target.clone() };
        let mappings = status.mappings.iter().map(mapping).collect();
        let (name, placement) = (self.name().to_owned(), self.placement());
        RunningGate { name, placement, revision: status.revision, published, mappings }
    }

    /// An error if the gate is of a newer version, whose state and messages this one may not understand.
    pub(crate) fn check_version(&self) -> Result<(), Failure> {
        let Self::Container(GateContainer { name, version, .. }) = self else { return Ok(()) };
        match (Version::parse(version), Version::parse(VERSION)) {
            (Ok(theirs), Ok(ours)) if theirs <= ours => Ok(()),
            _ => Err(Failure::GateNewer { gate: name.clone(), theirs: version.clone(), ours: VERSION }),
        }
    }
}

/// The gates that were found, and the engine, if there is one.
pub(crate) struct Gates {
    pub(crate) engine: Option<Engine>,
    pub(crate) list: Vec<Gate>,
}

/// Finds all gates. Without an engine there are only processes; if there is neither, the engine's absence is the error.
pub(crate) async fn find() -> Result<Gates, Failure> {
    let mut list = processes();
    let engine = match choice::engine().await {
        Ok(engine) => {
            list.extend(engine.gates(None).await?.into_iter().map(Gate::Container));
            Some(engine)
        }
        Err(_) if !list.is_empty() => None,
        Err(failure) => return Err(failure),
    };
    Ok(Gates { engine, list })
}

impl Gates {
    /// The gates of the cluster that was named, or of the only one that has gates. Their cluster may be gone.
    pub(crate) async fn of_cluster(self, arguments: &ClusterArguments) -> Result<(ClusterId, Self), Failure> {
        let named = self.named(arguments).await?;
        let mut clusters: Vec<ClusterId> = named.list.iter().map(|gate| gate.cluster().clone()).collect();
        clusters.sort();
        clusters.dedup();
        let chosen = match clusters.as_slice() {
            [one] => one.clone(),
            [] => return Err(Failure::NothingOpen { cluster: arguments.name().map(str::to_owned) }),
            several => {
                return Err(Failure::SeveralClusters { names: choice::names(several) });
            }
        };
        Ok((chosen, named))
    }

    /// The gates of the cluster or network that was named, or all. A name that nothing has is an error.
    pub(crate) async fn named(mut self, arguments: &ClusterArguments) -> Result<Self, Failure> {
        match (&arguments.network, arguments.name()) {
            (Some(network), _) => self.list.retain(|gate| gate.network() == Some(network)),
            (None, Some(name)) => {
                let mut known: Vec<ClusterId> = self.list.iter().map(|gate| gate.cluster().clone()).collect();
                self.list.retain(|gate| is_called(gate.cluster(), name));
                if let (Some(engine), true) = (&self.engine, self.list.is_empty()) {
                    known.extend(engine.clusters().await?.into_iter().map(|cluster| cluster.id));
                    known.extend(engine.gate_volumes().await?.into_iter().map(|volume| volume.cluster));
                }
                known.sort();
                known.dedup();
                if !known.iter().any(|id| is_called(id, name)) {
                    return Err(choice::unknown_failure(name, &known));
                }
            }
            (None, None) => {}
        }
        Ok(self)
    }

    /// What each gate says, if it does so within `patience`. All are asked at once.
    pub(crate) async fn reports(self, detail: Detail, patience: Duration) -> Result<Vec<Report>, Failure> {
        let engine = self.engine.as_ref();
        try_join_all(self.list.into_iter().map(|gate| Report::of(engine, gate, detail, patience))).await
    }
}

/// Whether a user may call a cluster so: `mycluster`, `k3d-mycluster`, `k3d/mycluster`.
pub(crate) fn is_called(cluster: &ClusterId, name: &str) -> bool {
    let provider = cluster.provider;
    cluster.name == name
        || format!("{provider}-{}", cluster.name) == name
        || format!("{provider}/{}", cluster.name) == name
}

/// This user's process gates.
pub(crate) fn processes() -> Vec<Gate> {
    let gate = |(name, paths): (String, ProcessPaths)| {
        let state = Store::new(paths.state()).load().ok()??;
        Some(Gate::Process { name, cluster: state.cluster, paths })
    };
    process_gate::all().into_iter().filter_map(gate).collect()
}

/// Why there may be process gates of this user that nobody knows of: their state files cannot be used.
pub(crate) fn unusable_states() -> Vec<Failure> {
    let unusable = |(_, paths): (String, ProcessPaths)| Some(Store::new(paths.state()).load().err()?.into());
    process_gate::refused().into_iter().chain(process_gate::all().into_iter().filter_map(unusable)).collect()
}

/// A gate, and what it carries.
pub(crate) struct Report {
    pub(crate) gate: Gate,
    pub(crate) contents: Contents,
}

/// What a gate carries.
pub(crate) enum Contents {
    /// It runs, and says so itself.
    Live { status: GateStatus, control: Control },
    /// It runs and does not say; its state file tells what it is to carry, unless that is damaged.
    Silent { state: Result<Option<GateState>, Failure>, why: String },
    /// It does not run; its state file tells what it would carry, unless that is damaged.
    Stopped { state: Result<Option<GateState>, Failure>, word: String },
}

impl Report {
    async fn of(engine: Option<&Engine>, gate: Gate, detail: Detail, patience: Duration) -> Result<Self, Failure> {
        let contents = match &gate {
            Gate::Container(container) if container.state == RunState::Running => {
                match live(engine, &gate, detail, patience).await {
                    Ok(live) => live,
                    Err(failure) => {
                        let (state, why) = kept(engine, container, failure.to_string()).await?;
                        Contents::Silent { state, why }
                    }
                }
            }
            Gate::Container(container) => {
                let (state, word) = kept(engine, container, word(container.state).to_owned()).await?;
                Contents::Stopped { state, word }
            }
            Gate::Process { paths, .. } => match live(engine, &gate, detail, patience).await {
                Ok(live) => live,
                Err(failure) => {
                    let state = Store::new(paths.state()).load().map_err(Failure::from);
                    match failure {
                        Failure::Client(ClientError::Connect { .. }) => {
                            Contents::Stopped { state, word: "stopped".to_owned() }
                        }
                        failure => Contents::Silent { state, why: failure.to_string() },
                    }
                }
            },
        };
        Ok(Self { gate, contents })
    }

    pub(crate) fn is_live(&self) -> bool {
        matches!(self.contents, Contents::Live { .. })
    }

    /// The gate's mappings; those of a gate that is stopped or does not say have no backend and no traffic.
    pub(crate) fn mappings(&self) -> Vec<MappingStatus> {
        let (state, shown) = match &self.contents {
            Contents::Live { status, .. } => return status.mappings.clone(),
            Contents::Silent { state, why } => (state, MappingState::Unknown { message: why.clone() }),
            Contents::Stopped { state, .. } => (state, MappingState::Stopped),
        };
        let known = state.iter().flatten().flat_map(|state| &state.mappings);
        known.map(|mapping| idle(mapping, shown.clone())).collect()
    }

    /// What is said of a gate that does not tell what it carries, where that is not known from elsewhere.
    pub(crate) fn unlisted(&self) -> Option<String> {
        let name = self.gate.name();
        match &self.contents {
            Contents::Silent { state: Ok(None), why } => Some(format!("gate {name} does not answer: {why}")),
            Contents::Stopped { state: Ok(None), word } => Some(format!("gate {name} is {word}")),
            _ => None,
        }
    }

    /// Why it is not known what the gate carries.
    pub(crate) fn damage(&self) -> Option<&Failure> {
        match &self.contents {
            Contents::Silent { state: Err(failure), .. } | Contents::Stopped { state: Err(failure), .. } => {
                Some(failure)
            }
            Contents::Silent { state: Ok(_), .. } | Contents::Stopped { state: Ok(_), .. } | Contents::Live { .. } => {
                None
            }
        }
    }

    /// The gate's state and its control; an error if it does not run, or is newer than this portgate.
    pub(crate) fn live(self) -> Result<(Gate, GateStatus, Control), Failure> {
        self.gate.check_version()?;
        match self.contents {
            Contents::Live { status, control } => Ok((self.gate, status, control)),
            // To start it would not help.
            Contents::Silent { state: Err(failure), .. } | Contents::Stopped { state: Err(failure), .. } => {
                Err(failure)
            }
            Contents::Silent { why, .. } => Err(Failure::GateSilent { gate: self.gate.name().to_owned(), why }),
            Contents::Stopped { word, .. } => {
                Err(Failure::GateNotRunning { gate: self.gate.name().to_owned(), state: word })
            }
        }
    }
}

/// What a running gate says, if it does so in time.
async fn live(engine: Option<&Engine>, gate: &Gate, detail: Detail, patience: Duration) -> Result<Contents, Failure> {
    let mut control = within(EXEC_TIME.max(patience), Control::connect(engine, gate)).await?;
    let status = within(patience, control.tell(detail)).await?;
    Ok(Contents::Live { status, control })
}

async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(limit, answer).await.unwrap_or(Err(ClientError::TimedOut(limit).into()))
}

/// What a gate that does not say it itself has in its state file, beside what is said of the gate. One that is being
/// removed has no files any more, and no other gate suffers from that.
async fn kept(
    engine: Option<&Engine>,
    container: &GateContainer,
    word: String,
) -> Result<(Result<Option<GateState>, Failure>, String), Failure> {
    let engine = engine.ok_or(Failure::NoCluster)?;
    let read = async { Ok(engine.read_state(&container.name).await?) };
    Ok(match within(EXEC_TIME, read).await {
        Ok(state) => (Ok(state), word),
        Err(Failure::State(error)) if error.is_damage() => (Err(error.into()), word),
        Err(failure) => (Ok(None), format!("{word} ({failure})")),
    })
}

/// The state of a gate that does not run.
fn word(state: RunState) -> &'static str {
    match state {
        RunState::Paused => "paused",
        RunState::Restarting => "restarting, over and over",
        RunState::Running | RunState::Created | RunState::Exited { .. } | RunState::Dead => "stopped",
    }
}

/// A mapping that carries nothing, as far as is known.
fn idle(mapping: &Mapping, state: MappingState) -> MappingStatus {
    MappingStatus {
        local: mapping.local.clone(),
        target: mapping.target.clone(),
        backends: Vec::new(),
        datapath: Datapath::Relay,
        relay_because: (state == MappingState::Stopped).then_some(RelayReason::Stopped),
        state,
        counters: Counters::default(),
    }
}

/// A conversation with a running gate.
pub(crate) enum Control {
    Exec(Box<Session<containers::Session>>),
    Socket(Box<Session<UnixStream>>),
    /// The conversation ended, and why is known.
    Ended,
}

impl Control {
    pub(crate) async fn connect(engine: Option<&Engine>, gate: &Gate) -> Result<Self, Failure> {
        match (gate, engine) {
            (Gate::Process { paths, .. }, _) => {
                Ok(Self::Socket(Box::new(Session::connect(&paths.socket(), SOCKET_PATIENCE).await?)))
            }
            (Gate::Container(container), Some(engine)) => {
                Self::of_container(engine, &container.cluster, gate.placement(), &container.name).await
            }
            (Gate::Container(_), None) => Err(Failure::NoCluster),
        }
    }

    /// A conversation with the gate in the container of this name: over its socket, where that is on this machine and
    /// this user may use it, else through `docker exec`.
    pub(crate) async fn of_container(
        engine: &Engine,
        cluster: &ClusterId,
        placement: Placement,
        container: &str,
    ) -> Result<Self, Failure> {
        if placement == Placement::Host
            && engine.endpoint().is_local()
            && let Ok(session) = Session::connect(&host_socket(cluster), SOCKET_PATIENCE).await
        {
            return Ok(Self::Socket(Box::new(session)));
        }
        Ok(Self::Exec(Box::new(Session::new(engine.control(container).await?))))
    }

    pub(crate) async fn request(&mut self, request: &Request) -> Result<Response, Failure> {
        let answer = async {
            match self {
                Self::Exec(session) => session.request(request).await,
                Self::Socket(session) => session.request(request).await,
                Self::Ended => Err(ClientError::Ended),
            }
        };
        let limit = ANSWER_TIME + if let Request::Probe(probe) = request { probe.timeout } else { Duration::ZERO };
        let outcome = tokio::time::timeout(limit, answer).await.unwrap_or(Err(ClientError::TimedOut(limit)));
        match (outcome, std::mem::replace(self, Self::Ended)) {
            // What the other side wrote on its standard error says more than that it hung up.
            (Err(ClientError::Ended | ClientError::Connection(_)), Self::Exec(session)) => {
                Err(session.into_inner().failure().await.into())
            }
            (outcome, control) => {
                *self = control;
                Ok(outcome?)
            }
        }
    }

    /// What a gate carries, and has carried; not what the kernel carries at the moment.
    pub(crate) async fn status(&mut self) -> Result<GateStatus, Failure> {
        self.tell(Detail::Brief).await
    }

    async fn tell(&mut self, detail: Detail) -> Result<GateStatus, Failure> {
        match self.request(&Request::Status { detail }).await? {
            Response::Status(status) => Ok(status),
            _ => Err(ClientError::Ended.into()),
        }
    }
}
