//! From what is wanted and what runs to the changes that lead from one to the other.
//!
//! In host placement one gate carries all mappings of a cluster, and its ports come and go while it runs.
//!
//! In published placement a container's published ports cannot change. So a new port never touches a running gate: it
//! gets a further one, unless a running gate already publishes it (the port was closed there before). A closed port
//! stays reserved by its gate's container until the container's last port closes; then the container goes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::cluster::ClusterId;
use crate::mapping::{Local, Mapping};
use crate::port::{Port, Protocol};
use crate::status::Placement;

/// How many mappings are too many to show in a row, and how many of them are shown.
const MANY: usize = 10;
const SHOWN_OF_MANY: usize = 3;

/// A gate that runs now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningGate {
    /// The container's name.
    pub name: String,
    /// Where it runs.
    pub placement: Placement,
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
    /// Make a further gate; in published placement it publishes exactly these.
    Create {
        /// The new container's name.
        gate: String,
        /// Where it is to run.
        placement: Placement,
        /// Its mappings; in published placement no two with the same port and protocol.
        open: Vec<Mapping>,
    },
    /// Change the mappings of a running gate.
    Change {
        /// The container's name.
        gate: String,
        /// The revision for which this was planned.
        revision: u64,
        /// Mappings to add; in published placement each is published already.
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
            Self::Create { gate, placement, open } => {
                write!(f, "create container {gate} ({placement} placement): open {}", list(open))
            }
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

/// The changes that lead from `running` to `wanted`. Removals come first, so that what they free can be opened anew.
///
/// `placement` is where a new gate is to run. A running gate in host placement takes all that is missing, whatever
/// `placement` says. `wanted` holds every mapping of the cluster, not just the new ones, and no two of them collide (see [`with`]).
/// `names` are all containers that already have a gate's name, running or not.
pub fn plan(
    cluster: &ClusterId,
    wanted: &[Mapping],
    running: &[RunningGate],
    names: &[String],
    placement: Placement,
) -> Vec<Step> {
    let carried: BTreeSet<&Mapping> = running.iter().flat_map(|gate| &gate.mappings).collect();
    let mut missing: Vec<&Mapping> = wanted.iter().filter(|mapping| !carried.contains(mapping)).collect();
    let wanted: BTreeSet<&Mapping> = wanted.iter().collect();
    let mut steps: Vec<Step> = running.iter().filter_map(|gate| change(gate, &wanted, &mut missing)).collect();
    steps.sort_by_key(|step| !matches!(step, Step::Remove { .. }));
    let mut names = names.to_vec();
    while !missing.is_empty() {
        let gate = free_name(&cluster.gate_name(), &names);
        names.push(gate.clone());
        let open = match placement {
            Placement::Published => publishable(&mut missing),
            Placement::Host | Placement::Process => missing.drain(..).cloned().collect(),
        };
        steps.push(Step::Create { gate, placement, open });
    }
    steps
}

/// What changes in one gate. Takes from `missing` what this gate can open: all, or what it publishes already.
fn change(gate: &RunningGate, wanted: &BTreeSet<&Mapping>, missing: &mut Vec<&Mapping>) -> Option<Step> {
    let close: Vec<Mapping> = gate.mappings.iter().filter(|mapping| !wanted.contains(mapping)).cloned().collect();
    let published: BTreeSet<&Local> = gate.published.iter().collect();
    let can_open = |mapping: &Mapping| gate.placement == Placement::Host || published.contains(&mapping.local);
    let (open, rest): (Vec<&Mapping>, Vec<&Mapping>) = missing.iter().partition(|mapping| can_open(mapping));
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

/// The first of `first`, `first-2`, … that is not taken.
pub fn free_name(first: &str, names: &[String]) -> String {
    let mut number = 1;
    let mut name = first.to_owned();
    while names.contains(&name) {
        number += 1;
        name = format!("{first}-{number}");
    }
    name
}

#[cfg(test)]
mod tests;
