//! What is done to the gates, their nodes and what they stand on.

use std::fmt;
use std::time::Duration;

/// A cluster that has gates, or the forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// The cluster whose gate is in the host's network.
    Host,
    /// The cluster whose gates have published ports.
    Published,
    /// The forward.
    Forward,
}

/// A way into a subject, from a client's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entrance {
    /// 127.0.0.1 of the gate on the host, which the kernel carries.
    Kernel,
    /// `[::1]` of the gate on the host, which the relay carries.
    Relay,
    /// 127.0.0.1 of the gate with published ports.
    Published,
    /// 127.0.0.1 of the forward.
    Forward,
}

/// A kind of traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// New TCP connections, one after the other.
    Connections,
    /// One TCP connection that stays open.
    Stream,
    /// One UDP flow.
    Datagrams,
}

/// Traffic through an entrance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) entrance: Entrance,
    pub(crate) traffic: Traffic,
}

/// A node of a cluster. Each has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    First,
    Second,
}

/// How an engine is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// Connections to it break, and new ones break at once.
    Broken,
    /// Connections stay, and nothing passes.
    Stalled,
}

/// What is wrong with a state volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Full,
    ReadOnly,
}

/// What happens to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeFault {
    /// It is paused for a while.
    Pause,
    /// It stops, and starts with another address.
    Move,
    /// It has another name for a while.
    Rename,
    /// It is off the cluster's network for a while.
    Disconnect,
    /// It is removed, and made again after a while.
    Remove,
}

/// Something that goes wrong, or a change that must harm nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The worker of the gate on the host is killed.
    KillWorker,
    /// A gate's first process is killed; a forward is started again by its user.
    KillGate(Subject),
    /// A gate's container is killed by `docker kill`, after which the engine leaves it stopped, and started by its user.
    StopByKill(Subject),
    /// The engine is away for the gate on the host. A node that the gate has seen stop may start meanwhile.
    EngineAway { absence: Absence, lasts: Duration, starts: Option<Node> },
    /// Something happens to a node.
    Node { fault: NodeFault, subject: Subject, node: Node, lasts: Duration },
    /// Others try to delete the tables of the gate on the host.
    DeleteTables,
    /// Others turn off `route_localnet` of the bridge.
    LoopbackOff,
    /// The conntrack entries of the gate on the host are deleted.
    DeleteFlows,
    /// A state volume takes nothing more, while ports are closed and opened.
    Volume { subject: Subject, damage: Damage },
    /// Another program listens on a port that is about to be opened.
    TakePort(Subject),
    /// Another program takes a port while its gate is stopped.
    TakePortOfStopped,
    /// The supervisor has few descriptors, and many connections to its control socket.
    ExhaustDescriptors { connections: u16, lasts: Duration },
    /// A port is opened, used and closed.
    OpenAndClose(Subject),
    /// Two commands open ports at once, and two close them.
    TwoCommands(Subject),
    /// All nodes are removed and made again.
    ClusterAnew(Subject),
    /// A pod is replaced by another.
    ReplacePod { lasts: Duration },
    /// The API server restarts.
    RestartApi { lasts: Duration },
    /// All connections to the API server break.
    BreakApiConnections,
}

impl Entrance {
    pub(crate) const fn subject(self) -> Subject {
        match self {
            Self::Kernel | Self::Relay => Subject::Host,
            Self::Published => Subject::Published,
            Self::Forward => Subject::Forward,
        }
    }
}

impl Flow {
    /// All traffic of an entrance. A forward carries no UDP.
    pub(crate) fn of(entrance: Entrance) -> impl Iterator<Item = Self> {
        let all = [Traffic::Connections, Traffic::Stream, Traffic::Datagrams];
        let carried = move |traffic: &Traffic| entrance != Entrance::Forward || *traffic != Traffic::Datagrams;
        all.into_iter().filter(carried).map(move |traffic| Self { entrance, traffic })
    }
}

impl Fault {
    /// Whom it is done to.
    pub(crate) const fn subject(self) -> Subject {
        match self {
            Self::KillWorker
            | Self::EngineAway { .. }
            | Self::DeleteTables
            | Self::LoopbackOff
            | Self::DeleteFlows
            | Self::TakePortOfStopped
            | Self::ExhaustDescriptors { .. } => Subject::Host,
            Self::KillGate(subject)
            | Self::StopByKill(subject)
            | Self::Node { subject, .. }
            | Self::Volume { subject, .. }
            | Self::TakePort(subject)
            | Self::OpenAndClose(subject)
            | Self::TwoCommands(subject)
            | Self::ClusterAnew(subject) => subject,
            Self::ReplacePod { .. } | Self::RestartApi { .. } | Self::BreakApiConnections => Subject::Forward,
        }
    }

    /// Its kind, without its parameters.
    pub(crate) fn kind(self) -> String {
        let what = match self {
            Self::KillWorker => "kill the worker",
            Self::KillGate(_) => "kill the gate",
            Self::StopByKill(_) => "docker kill, then start",
            Self::EngineAway { absence: Absence::Broken, starts: None, .. } => "break the engine's connections",
            Self::EngineAway { absence: Absence::Stalled, starts: None, .. } => "stall the engine",
            Self::EngineAway { absence: Absence::Broken, starts: Some(_), .. } => "start a node, engine broken",
            Self::EngineAway { absence: Absence::Stalled, starts: Some(_), .. } => "start a node, engine stalled",
            Self::Node { fault, .. } => match fault {
                NodeFault::Pause => "pause a node",
                NodeFault::Move => "move a node",
                NodeFault::Rename => "rename a node",
                NodeFault::Disconnect => "disconnect a node",
                NodeFault::Remove => "remove a node",
            },
            Self::DeleteTables => "delete the gate's tables",
            Self::LoopbackOff => "turn route_localnet off",
            Self::DeleteFlows => "delete conntrack entries",
            Self::Volume { damage: Damage::Full, .. } => "fill the state volume",
            Self::Volume { damage: Damage::ReadOnly, .. } => "make the state volume read-only",
            Self::TakePort(_) => "take a port",
            Self::TakePortOfStopped => "take a port of a stopped gate",
            Self::ExhaustDescriptors { .. } => "exhaust descriptors",
            Self::OpenAndClose(_) => "open and close a port",
            Self::TwoCommands(_) => "two commands at once",
            Self::ClusterAnew(_) => "make the cluster again",
            Self::ReplacePod { .. } => "replace a pod",
            Self::RestartApi { .. } => "restart the API server",
            Self::BreakApiConnections => "break the API connections",
        };
        format!("{}: {what}", self.subject())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::Published => "published",
            Self::Forward => "forward",
        })
    }
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.traffic {
            Traffic::Connections => "new connections",
            Traffic::Stream => "the open connection",
            Traffic::Datagrams => "the UDP flow",
        })?;
        f.write_str(match self.entrance {
            Entrance::Kernel => " through the kernel path (127.0.0.1)",
            Entrance::Relay => " through the relay ([::1])",
            Entrance::Published => " through the published gate",
            Entrance::Forward => " through the forward",
        })
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "server-0",
            Self::Second => "agent-0",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind())?;
        match self {
            Self::EngineAway { starts: Some(node), lasts, .. } | Self::Node { node, lasts, .. } => {
                write!(f, " ({node}, {} ms)", lasts.as_millis())
            }
            Self::ExhaustDescriptors { connections, lasts } => {
                write!(f, " ({connections} connections, {} ms)", lasts.as_millis())
            }
            Self::EngineAway { starts: None, lasts, .. } | Self::ReplacePod { lasts } | Self::RestartApi { lasts } => {
                write!(f, " ({} ms)", lasts.as_millis())
            }
            _ => Ok(()),
        }
    }
}
