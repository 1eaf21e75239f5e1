//! From what is wanted and what runs to the changes that lead from one to the other.
//!
//! In published placement a container's published ports cannot change. So a new port never touches a running gate: it
//! gets a further one, unless a running gate already publishes it (the port was closed there before). A closed port
//! stays reserved by its gate's container until the container's last port closes; then the container goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::ClusterId;
use crate::mapping::{Local, Mapping};
use crate::port::{Port, Protocol};

/// How many mappings are too many to show in a row, and how many of them are shown.
const MANY: usize = 10;
const SHOWN_OF_MANY: usize = 3;

/// A gate that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningGate {
    /// The container's name.
    pub name: String,
    /// The revision of its state.
    pub revision: u64,
    /// The local ends that its container publishes, whether a mapping uses them or not.
    pub published: Vec<Local>,
    /// Its mappings.
    pub mappings: Vec<Mapping>,
}

/// One change. Changes are applied in order; the first that fails ends the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a further gate that publishes exactly these.
    Create {
        /// The new container's name.
        gate: String,
        /// Its mappings, no two with the same port and protocol.
        open: Vec<Mapping>,
    },
    /// Change the mappings of a running gate.
    Change {
        /// The container's name.
        gate: String,
        /// The revision for which this was planned.
        revision: u64,
        /// Mappings to add, each published already.
        open: Vec<Mapping>,
        /// Mappings to drop.
        close: Vec<Mapping>,
    },
    /// Remove a gate, whose last mappings these are.
    Remove {
        /// The container's name.
        gate: String,
        /// The revision for which this was planned.
        revision: u64,
        /// The mappings that end with it.
        close: Vec<Mapping>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { gate, open } => write!(f, "create container {gate}: open {}", list(open)),
            Self::Change { gate, open, close, .. } if close.is_empty() => {
                write!(f, "change container {gate}: open {}", list(open))
            }
            Self::Change { gate, open, close, .. } if open.is_empty() => {
                write!(f, "change container {gate}: close {}", list(close))
            }
            Self::Change { gate, open, close, .. } => {
                write!(f, "change container {gate}: close {}, open {}", list(close), list(open))
            }
            Self::Remove { gate, close, .. } if close.is_empty() => write!(f, "remove container {gate}"),
            Self::Remove { gate, close, .. } => write!(f, "remove container {gate}: close {}", list(close)),
        }
    }
}

/// The mappings in a row; of a great many the first ones.
fn list(mappings: &[Mapping]) -> String {
    let shown = if mappings.len() > MANY { SHOWN_OF_MANY } else { mappings.len() };
    let row = mappings.iter().take(shown).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match mappings.len() - shown {
        0 => row,
        more => format!("{row} and {more} more"),
    }
}

/// A mapping that cannot be opened, as it stands in the way of another.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Two mappings of one command.
    #[error("{second} collides with {first}: both were asked for")]
    Twice {
        /// The one that came first.
        first: Box<Mapping>,
        /// The other.
        second: Box<Mapping>,
    },
    /// An open mapping.
    #[error("{wanted} collides with {open}, which is open already")]
    Open {
        /// What was asked for.
        wanted: Box<Mapping>,
        /// What is there.
        open: Box<Mapping>,
    },
}

impl Conflict {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Twice { second, .. } => {
                format!("give one of them another host port, as HOSTPORT:{}", second.target)
            }
            Self::Open { wanted, open } => format!(
                "close it first (`portgate close {}/{}`), or name another host port (`HOSTPORT:{}`)",
                open.local.port, open.local.protocol, wanted.target
            ),
        }
    }
}

/// All that is wanted once `new` is open beside `open`. What is open the same way already is not doubled.
pub fn with(open: &[Mapping], new: &[Mapping]) -> Result<Vec<Mapping>, Conflict> {
    let mut by_port: BTreeMap<(Port, Protocol), Vec<&Mapping>> = BTreeMap::new();
    for mapping in open {
        by_port.entry((mapping.local.port, mapping.local.protocol)).or_default().push(mapping);
    }
    let mut wanted = open.to_vec();
    for mapping in new {
        let rivals = by_port.entry((mapping.local.port, mapping.local.protocol)).or_default();
        match rivals.iter().find(|other| other.local.overlaps(&mapping.local)) {
            Some(&same) if same == mapping => {}
            Some(&other) if open.contains(other) => {
                return Err(Conflict::Open { wanted: Box::new(mapping.clone()), open: Box::new(other.clone()) });
            }
            Some(&other) => {
                return Err(Conflict::Twice { first: Box::new(other.clone()), second: Box::new(mapping.clone()) });
            }
            None => {
                rivals.push(mapping);
                wanted.push(mapping.clone());
            }
        }
    }
    Ok(wanted)
}

/// The changes that lead from `running` to `wanted`, in published placement. Removals come first, so that what they
/// free can be published anew.
///
/// `wanted` holds every mapping of the cluster, not just the new ones, and no two of them collide (see [`with`]).
/// `names` are all containers that already have a gate's name, running or not.
pub fn plan(cluster: &ClusterId, wanted: &[Mapping], running: &[RunningGate], names: &[String]) -> Vec<Step> {
    let carried: BTreeSet<&Mapping> = running.iter().flat_map(|gate| &gate.mappings).collect();
    let mut missing: Vec<&Mapping> = wanted.iter().filter(|mapping| !carried.contains(mapping)).collect();
    let wanted: BTreeSet<&Mapping> = wanted.iter().collect();
    let mut steps: Vec<Step> = running.iter().filter_map(|gate| change(gate, &wanted, &mut missing)).collect();
    steps.sort_by_key(|step| !matches!(step, Step::Remove { .. }));
    let mut names = names.to_vec();
    while !missing.is_empty() {
        let gate = free_name(cluster, &names);
        names.push(gate.clone());
        steps.push(Step::Create { gate, open: publishable(&mut missing) });
    }
    steps
}

/// What changes in one gate. Takes from `missing` what this gate publishes already.
fn change(gate: &RunningGate, wanted: &BTreeSet<&Mapping>, missing: &mut Vec<&Mapping>) -> Option<Step> {
    let close: Vec<Mapping> = gate.mappings.iter().filter(|mapping| !wanted.contains(mapping)).cloned().collect();
    let published: BTreeSet<&Local> = gate.published.iter().collect();
    let (open, rest): (Vec<&Mapping>, Vec<&Mapping>) =
        missing.iter().partition(|mapping| published.contains(&mapping.local));
    *missing = rest;
    let (name, revision) = (gate.name.clone(), gate.revision);
    if open.is_empty() && close.len() == gate.mappings.len() {
        Some(Step::Remove { gate: name, revision, close })
    } else if open.is_empty() && close.is_empty() {
        None
    } else {
        Some(Step::Change { gate: name, revision, open: open.into_iter().cloned().collect(), close })
    }
}

/// Takes from `missing` what one new container can publish: a mapping's port in the container is its port on the host,
/// so the same port on another host address needs another container.
fn publishable(missing: &mut Vec<&Mapping>) -> Vec<Mapping> {
    let mut taken = BTreeSet::new();
    let (open, rest): (Vec<&Mapping>, Vec<&Mapping>) =
        missing.iter().partition(|mapping| taken.insert((mapping.local.protocol, mapping.local.port)));
    *missing = rest;
    open.into_iter().cloned().collect()
}

/// The first of `k3d-c-portgate`, `k3d-c-portgate-2`, … that is not taken.
fn free_name(cluster: &ClusterId, names: &[String]) -> String {
    let first = cluster.gate_name();
    let mut number = 1;
    let mut name = first.clone();
    while names.contains(&name) {
        number += 1;
        name = format!("{first}-{number}");
    }
    name
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;

    use super::*;
    use crate::cluster::Provider;
    use crate::mapping::HostAddresses;
    use crate::spec::PortSpec;

    fn cluster() -> ClusterId {
        ClusterId { provider: Provider::K3d, name: "c".to_owned() }
    }

    fn mappings(specs: &str) -> Vec<Mapping> {
        let parse = |text| PortSpec::parse(text).unwrap().mappings(&HostAddresses::loopback()).unwrap();
        specs.split_whitespace().flat_map(parse).collect()
    }

    /// A gate that publishes `published`, of which `open` are open.
    fn gate(name: &str, published: &str, open: &str) -> RunningGate {
        let published = mappings(published).into_iter().map(|mapping| mapping.local).collect();
        RunningGate { name: name.to_owned(), revision: 7, published, mappings: mappings(open) }
    }

    fn steps(wanted: &str, running: &[RunningGate]) -> String {
        let names: Vec<String> = running.iter().map(|gate| gate.name.clone()).collect();
        let steps = plan(&cluster(), &mappings(wanted), running, &names);
        steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_first_ports_get_the_first_gate() {
        assert_snapshot!(steps("30999 30998/udp", &[]),
            @"create container k3d-c-portgate: open localhost:30999/tcp -> 30999, localhost:30998/udp -> 30998");
    }

    #[test]
    fn a_new_port_gets_a_further_gate_and_touches_no_other() {
        let running = [gate("k3d-c-portgate", "30999", "30999")];
        assert_snapshot!(steps("30999 30379", &running),
            @"create container k3d-c-portgate-2: open localhost:30379/tcp -> 30379");
    }

    #[test]
    fn what_is_open_already_changes_nothing() {
        assert_eq!(steps("30999", &[gate("k3d-c-portgate", "30999", "30999")]), "");
    }

    #[test]
    fn a_closed_port_is_reopened_where_it_is_still_published() {
        let running = [gate("k3d-c-portgate", "30999 30998/udp", "30999")];
        assert_snapshot!(steps("30999 30998:1/udp", &running),
            @"change container k3d-c-portgate: open localhost:30998/udp -> 1");
    }

    #[test]
    fn the_last_close_removes_the_gate_and_an_earlier_one_does_not() {
        let running = [gate("k3d-c-portgate", "30999 30998/udp", "30999 30998/udp")];
        assert_snapshot!(steps("30999", &running),
            @"change container k3d-c-portgate: close localhost:30998/udp -> 30998");
        assert_snapshot!(steps("", &running),
            @"remove container k3d-c-portgate: close localhost:30999/tcp -> 30999, localhost:30998/udp -> 30998");
    }

    #[test]
    fn of_a_great_many_mappings_the_first_are_shown() {
        assert_snapshot!(steps("30000-30400", &[]),
            @"create container k3d-c-portgate: open localhost:30000/tcp -> 30000, localhost:30001/tcp -> 30001, localhost:30002/tcp -> 30002 and 398 more");
    }

    #[test]
    fn removals_come_before_creations() {
        let running = [gate("k3d-c-portgate", "1 2", "1 2"), gate("k3d-c-portgate-2", "3", "3")];
        assert_snapshot!(steps("1 4", &running), @"
        remove container k3d-c-portgate-2: close localhost:3/tcp -> 3
        change container k3d-c-portgate: close localhost:2/tcp -> 2
        create container k3d-c-portgate-3: open localhost:4/tcp -> 4
        ");
    }

    #[test]
    fn the_same_port_on_two_addresses_needs_two_containers() {
        assert_snapshot!(steps("127.0.0.1:80:1 127.0.0.2:80:2 80/udp", &[]), @"
        create container k3d-c-portgate: open 127.0.0.1:80/tcp -> 1, localhost:80/udp -> 80
        create container k3d-c-portgate-2: open 127.0.0.2:80/tcp -> 2
        ");
    }

    #[test]
    fn collisions_are_told_apart() {
        let open = mappings("30999");
        assert_eq!(with(&open, &mappings("30999 30999")).unwrap(), open);
        let conflict = with(&open, &mappings("30999:1")).unwrap_err();
        assert_snapshot!(conflict,
            @"localhost:30999/tcp -> 1 collides with localhost:30999/tcp -> 30999, which is open already");
        let conflict = with(&open, &mappings("0.0.0.0:30999")).unwrap_err();
        assert!(matches!(conflict, Conflict::Open { .. }));
        let conflict = with(&open, &mappings("80:1 80:2")).unwrap_err();
        assert_snapshot!(conflict, @"localhost:80/tcp -> 2 collides with localhost:80/tcp -> 1: both were asked for");
        assert_eq!(with(&open, &mappings("30999/udp")).unwrap().len(), 2);
    }

    /// Applies a plan as the program would.
    fn apply(steps: Vec<Step>, mut running: Vec<RunningGate>) -> Vec<RunningGate> {
        for step in steps {
            match step {
                Step::Create { gate, open } => {
                    let published = open.iter().map(|mapping| mapping.local.clone()).collect();
                    running.push(RunningGate { name: gate, revision: 1, published, mappings: open });
                }
                Step::Change { gate, open, close, .. } => {
                    let gate = running.iter_mut().find(|running| running.name == gate).unwrap();
                    gate.mappings.retain(|mapping| !close.contains(mapping));
                    assert!(open.iter().all(|mapping| gate.published.contains(&mapping.local)));
                    gate.mappings.extend(open);
                }
                Step::Remove { gate, .. } => running.retain(|running| running.name != gate),
            }
        }
        running
    }

    fn wanted_ports() -> impl Strategy<Value = Vec<Mapping>> {
        proptest::collection::btree_set(1u16..12, 0..8)
            .prop_map(|ports| ports.iter().flat_map(|port| mappings(&port.to_string())).collect())
    }

    proptest! {
        #[test]
        fn any_sequence_of_wishes_comes_true(wishes in proptest::collection::vec(wanted_ports(), 1..6)) {
            let mut running = Vec::new();
            for wanted in wishes {
                let names: Vec<String> = running.iter().map(|gate: &RunningGate| gate.name.clone()).collect();
                let steps = plan(&cluster(), &wanted, &running, &names);
                running = apply(steps, running);
                let mut carried: Vec<Mapping> = running.iter().flat_map(|gate| gate.mappings.clone()).collect();
                carried.sort();
                prop_assert_eq!(&carried, &wanted);
                prop_assert!(running.iter().all(|gate| !gate.mappings.is_empty()));
                prop_assert!(plan(&cluster(), &wanted, &running, &[]).is_empty());
            }
        }
    }
}
