//! What must work while something goes wrong, and by when it must work again: decided without looking at anything.
//!
//! The times are those that portgate promises, and [`BUSY`] on top.

use std::time::{Duration, Instant};

use crate::fault::{Entrance, Fault, Flow, NodeFault, Subject, Traffic};

/// What a busy machine may add to every promise: this run and its load share the processors with others.
pub(crate) const BUSY: Duration = Duration::from_millis(1500);

/// Nothing happens to a flow: the longest time between two of its exchanges, of which there are many a second.
const NOTHING: Duration = Duration::from_millis(500);

/// Another worker serves.
const WORKER: Duration = Duration::from_millis(100);

/// The engine has started a killed gate again, and it serves.
const GATE: Duration = Duration::from_secs(2);

/// A gate serves that a command has started.
const STARTED: Duration = Duration::from_secs(1);

/// A node that is up is used, and one that is not up is not.
const NODE: Duration = Duration::from_secs(1);

/// What others removed or turned off is there again.
const RESTORED: Duration = Duration::from_secs(1);

/// A connection that breaks is noticed and made again at once.
const BROKEN: Duration = Duration::from_secs(1);

/// A connection whose other end is gone without a word is given up by the load's own limit.
const GIVEN_UP: Duration = crate::load::LIMIT;

/// The two moments of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period {
    pub(crate) begin: Instant,
    /// When the state that it brought about was over.
    pub(crate) end: Instant,
}

/// A time from one of the moments on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Begin(Duration),
    End(Duration),
}

/// Which exchanges of a flow may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failures {
    None,
    /// Those that began until then may be cut; none is refused.
    Cut(Until),
    /// Those that began until then.
    Any(Until),
}

/// What a flow can rely on during a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    pub(crate) failures: Failures,
    /// How long no exchange may succeed: as long as from the begin of the fault until then.
    pub(crate) silence: Until,
}

impl Until {
    pub(crate) fn instant(self, period: Period) -> Instant {
        match self {
            Self::Begin(within) => period.begin + within,
            Self::End(within) => period.end + within,
        }
    }
}

impl Promise {
    /// Nothing fails, and nothing is late.
    const UNHARMED: Self = Self { failures: Failures::None, silence: begin(NOTHING) };

    /// What is open breaks, nothing is refused, and all works again soon after.
    const fn cut(until: Until) -> Self {
        Self { failures: Failures::Cut(until), silence: until }
    }

    /// Nothing works for a while.
    const fn away(until: Until) -> Self {
        Self { failures: Failures::Any(until), silence: until }
    }
}

const fn begin(promised: Duration) -> Until {
    Until::Begin(promised.saturating_add(BUSY))
}

const fn end(promised: Duration) -> Until {
    Until::End(promised.saturating_add(BUSY))
}

/// What this flow can rely on during this fault.
pub(crate) fn promise(fault: Fault, flow: Flow) -> Promise {
    if flow.entrance.subject() != fault.subject() {
        return Promise::UNHARMED;
    }
    match fault {
        Fault::KillWorker => match flow.entrance {
            Entrance::Relay => Promise::cut(begin(WORKER)),
            _ => Promise::UNHARMED,
        },
        Fault::KillGate(Subject::Forward) | Fault::StopByKill(_) | Fault::TakePortOfStopped => {
            Promise::away(end(STARTED))
        }
        Fault::KillGate(_) => Promise::away(begin(GATE)),
        Fault::EngineAway { starts: Some(_), .. } => node(NodeFault::Move, flow),
        Fault::EngineAway { starts: None, .. }
        | Fault::DeleteTables
        | Fault::Volume { .. }
        | Fault::TakePort(_)
        | Fault::ExhaustDescriptors { .. }
        | Fault::OpenAndClose(_)
        | Fault::TwoCommands(_) => Promise::UNHARMED,
        Fault::LoopbackOff => match flow.entrance {
            Entrance::Kernel => Promise::away(begin(RESTORED)),
            _ => Promise::UNHARMED,
        },
        Fault::DeleteFlows => match flow.entrance {
            Entrance::Kernel => Promise::cut(begin(RESTORED)),
            _ => Promise::UNHARMED,
        },
        Fault::Node { fault, .. } => node(fault, flow),
        Fault::ClusterAnew(_) => Promise::away(end(NODE)),
        Fault::ReplacePod { .. } | Fault::BreakApiConnections => Promise::cut(begin(BROKEN)),
        Fault::RestartApi { .. } => Promise::cut(end(BROKEN)),
    }
}

/// Something happens to one of two nodes. Only a gate on the host is told when it does; one with published ports finds
/// out when traffic fails.
fn node(fault: NodeFault, flow: Flow) -> Promise {
    let told = flow.entrance.subject() == Subject::Host;
    match (fault, flow.traffic) {
        (NodeFault::Rename, _) => Promise::UNHARMED,
        // Its kernel still takes connections and data, which it answers later.
        (NodeFault::Pause, Traffic::Connections) => Promise { failures: Failures::None, silence: begin(NODE) },
        (NodeFault::Pause, Traffic::Stream) => Promise { failures: Failures::None, silence: end(NODE) },
        // The other node takes over at once.
        (_, Traffic::Connections) => Promise { failures: Failures::Any(end(NODE)), silence: begin(NODE) },
        (_, Traffic::Datagrams) if told => Promise { failures: Failures::Any(end(NODE)), silence: begin(NODE) },
        (_, Traffic::Datagrams) | (NodeFault::Move, Traffic::Stream) => Promise::away(end(NODE)),
        (NodeFault::Disconnect | NodeFault::Remove, Traffic::Stream) => {
            Promise { failures: Failures::Any(end(NODE)), silence: end(GIVEN_UP) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Schedule;

    fn flows() -> impl Iterator<Item = Flow> {
        let entrances = [Entrance::Kernel, Entrance::Relay, Entrance::Published, Entrance::Forward];
        entrances.into_iter().flat_map(Flow::of)
    }

    #[test]
    fn no_fault_harms_another_gate() {
        for step in Schedule::new(1).take(100) {
            for flow in flows().filter(|flow| flow.entrance.subject() != step.fault.subject()) {
                assert_eq!(promise(step.fault, flow), Promise::UNHARMED, "{}: {flow}", step.fault);
            }
        }
    }

    #[test]
    fn opening_and_closing_harms_nobody() {
        for subject in [Subject::Host, Subject::Published, Subject::Forward] {
            for fault in [Fault::OpenAndClose(subject), Fault::TwoCommands(subject), Fault::TakePort(subject)] {
                assert!(flows().all(|flow| promise(fault, flow) == Promise::UNHARMED), "{fault}");
            }
        }
    }

    #[test]
    fn a_worker_that_is_killed_cuts_what_the_relay_carries_and_refuses_nothing() {
        for flow in flows() {
            let expected =
                if flow.entrance == Entrance::Relay { Promise::cut(begin(WORKER)) } else { Promise::UNHARMED };
            assert_eq!(promise(Fault::KillWorker, flow), expected, "{flow}");
        }
    }

    #[test]
    fn while_one_node_is_away_new_connections_reach_the_other() {
        for fault in [NodeFault::Pause, NodeFault::Move, NodeFault::Disconnect, NodeFault::Remove] {
            for entrance in [Entrance::Kernel, Entrance::Relay, Entrance::Published] {
                let flow = Flow { entrance, traffic: Traffic::Connections };
                assert_eq!(node(fault, flow).silence, begin(NODE), "{fault:?}: {flow}");
            }
        }
    }

    #[test]
    fn times_count_from_the_begin_or_from_the_end() {
        let begin = Instant::now();
        let period = Period { begin, end: begin + Duration::from_secs(3) };
        assert_eq!(Until::Begin(Duration::from_secs(1)).instant(period), begin + Duration::from_secs(1));
        assert_eq!(Until::End(Duration::from_secs(1)).instant(period), begin + Duration::from_secs(4));
    }
}
