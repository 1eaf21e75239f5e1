//! Which fault comes when: decided by the seed alone.

use std::time::Duration;

use crate::fault::{Absence, Damage, Fault, Node, NodeFault, Subject};
use crate::random::Random;

/// How long a state lasts that a fault brings about and ends, in milliseconds.
const LASTS: std::ops::Range<u64> = 300..2000;

/// How many connections to a control socket are held open, where it can have far fewer.
const CONNECTIONS: std::ops::Range<u64> = 100..400;

/// One fault of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// From 1 on.
    pub(crate) number: u32,
    pub(crate) fault: Fault,
    /// How long all is left in peace before.
    pub(crate) rest: Duration,
}

/// The steps of a seed, without an end.
///
/// They come in rounds. Each round has every kind of fault once, in an order of its own, so that a short run sees many
/// kinds and a long one sees each after each other one.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    random: Random,
    round: Vec<Fault>,
    number: u32,
}

impl Schedule {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), round: Vec::new(), number: 0 }
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.round.is_empty() {
            self.round = round(&mut self.random);
        }
        let fault = self.round.pop()?;
        self.number += 1;
        Some(Step { number: self.number, fault, rest: Duration::from_millis(self.random.within(50..500)) })
    }
}

/// Every kind of fault once.
fn round(random: &mut Random) -> Vec<Fault> {
    let mut faults = vec![
        Fault::KillWorker,
        Fault::StopByKill(Subject::Host),
        Fault::StopByKill(Subject::Published),
        Fault::DeleteTables,
        Fault::LoopbackOff,
        Fault::DeleteFlows,
        Fault::TakePortOfStopped,
        Fault::ReplacePod { lasts: lasts(random) },
        Fault::RestartApi { lasts: lasts(random) },
        Fault::BreakApiConnections,
        Fault::ExhaustDescriptors {
            connections: u16::try_from(random.within(CONNECTIONS)).unwrap_or(u16::MAX),
            lasts: lasts(random),
        },
    ];
    for subject in [Subject::Host, Subject::Published, Subject::Forward] {
        faults.extend([Fault::KillGate(subject), Fault::TakePort(subject), Fault::OpenAndClose(subject)]);
    }
    for subject in [Subject::Host, Subject::Published] {
        faults.extend([Fault::TwoCommands(subject), Fault::ClusterAnew(subject)]);
        faults.extend([Damage::Full, Damage::ReadOnly].map(|damage| Fault::Volume { subject, damage }));
        let all = [NodeFault::Pause, NodeFault::Move, NodeFault::Rename, NodeFault::Disconnect, NodeFault::Remove];
        faults.extend(all.map(|fault| Fault::Node { fault, subject, node: node(random), lasts: lasts(random) }));
    }
    for absence in [Absence::Broken, Absence::Stalled] {
        faults.push(Fault::EngineAway { absence, lasts: lasts(random), starts: None });
        faults.push(Fault::EngineAway { absence, lasts: lasts(random), starts: Some(node(random)) });
    }
    random.shuffle(&mut faults);
    faults
}

fn lasts(random: &mut Random) -> Duration {
    Duration::from_millis(random.within(LASTS))
}

fn node(random: &mut Random) -> Node {
    if random.within(0..2) == 0 { Node::First } else { Node::Second }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_seed_has_one_schedule() {
        let steps = |seed| Schedule::new(seed).take(200).collect::<Vec<_>>();
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn the_schedule_of_a_seed_is_the_same_in_every_version() {
        let first: Vec<String> = Schedule::new(1).take(4).map(|step| step.fault.to_string()).collect();
        let expected = [
            "host: exhaust descriptors (190 connections, 635 ms)",
            "published: take a port",
            "host: open and close a port",
            "published: rename a node (server-0, 1592 ms)",
        ];
        assert_eq!(first, expected);
    }

    #[test]
    fn every_round_has_every_kind_once() {
        let length = round(&mut Random::new(1)).len();
        let mut schedule = Schedule::new(3);
        let mut kinds = || schedule.by_ref().take(length).map(|step| step.fault.kind()).collect::<BTreeSet<_>>();
        let (first, second) = (kinds(), kinds());
        assert_eq!(first, second);
        assert_eq!(first.len(), length);
    }

    #[test]
    fn steps_are_numbered_from_one() {
        let numbers: Vec<u32> = Schedule::new(3).take(3).map(|step| step.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
    }
}
