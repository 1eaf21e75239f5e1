//! What keeps containers from the host's loopback while a bridge accepts packets of 127.0.0.0/8: a table of the bridge's
//! own, without an owner, so that it outlives a gate that is killed.
//!
//! ```text
//! table ip portgate-guard-br-0123456789ab {
//!     chain guard {
//!         type filter hook prerouting priority raw; policy accept;
//!         iifname "br-0123456789ab" ip daddr 127.0.0.0/8 drop
//!         iifname "br-0123456789ab" ip saddr 127.0.0.0/8 drop
//!     }
//!     chain route_localnet { }        # portgate has turned this setting of the bridge on
//!     chain portgate-k3d-dev { }      # a gate that uses the bridge
//! }
//! ```
//!
//! The chains without rules are the record of what has to be undone, and when: all gates of the bridge, and a sweep, read
//! it. A setting is recorded before it is turned on; the table goes after all recorded settings are off.

use std::collections::BTreeSet;

use rustix::io::Errno;

use crate::error::Error;
use crate::ruleset::{Chain, guard};
use crate::setting::{ROUTE_LOCALNET, SRC_VALID_MARK, Setting, is_needed_by_docker};
use crate::socket::{Message, Refused};
use crate::table::TableSocket;

/// What the name of each such table begins with. No cluster's provider has this name.
const PREFIX: &str = "portgate-guard-";

/// What the names of the tables of all gates begin with, and so the chains that stand for gates.
const GATE_PREFIX: &str = "portgate-";

/// How often a removal is tried again because others have changed nftables meanwhile.
const ATTEMPTS: usize = 20;

/// The names of settings.
pub(crate) type Names = BTreeSet<&'static str>;

/// The guard of one bridge, and one gate's part in it.
#[derive(Debug)]
pub(crate) struct Guard {
    table: TableSocket,
    chain: Chain,
    /// The name of the gate's own table.
    gate: String,
}

/// What a guard's table has.
#[derive(Debug, Default)]
pub(crate) struct Record {
    chains: BTreeSet<String>,
    rules: usize,
}

impl Record {
    /// The settings that portgate has turned on.
    pub(crate) fn turned_on(&self) -> Names {
        [ROUTE_LOCALNET, SRC_VALID_MARK].into_iter().filter(|name| self.chains.contains(*name)).collect()
    }

    /// Whether other gates use the bridge.
    fn has_others_than(&self, gate: &str) -> bool {
        self.chains.iter().any(|chain| chain.starts_with(GATE_PREFIX) && chain != gate)
    }
}

impl Guard {
    pub(crate) fn open(bridge: &str, gate: &str) -> Result<Self, Refused> {
        let table = TableSocket::open(&format!("{PREFIX}{bridge}"))?;
        Ok(Self { table, chain: guard(bridge), gate: gate.to_owned() })
    }

    /// What is there; nothing, if there is no such table.
    pub(crate) fn record(&mut self) -> Result<Record, Refused> {
        let chains = self.table.chains()?;
        let rules = if chains.is_empty() { 0 } else { self.table.rules()? };
        Ok(Record { chains, rules })
    }

    /// Whether the guard stands, knows this gate, and has recorded these settings.
    pub(crate) fn is_whole(&self, record: &Record, turned_on: &Names) -> bool {
        let mut chains = [self.chain.name, &self.gate].into_iter().chain(turned_on.iter().copied());
        chains.all(|chain| record.chains.contains(chain)) && record.rules == self.chain.rules.len()
    }

    /// Makes of the guard what is missing, for this gate and these settings. What is there stays.
    pub(crate) fn establish(&mut self, turned_on: &Names) -> Result<(), Refused> {
        let table = &self.table;
        let mut messages: Vec<Message> = vec![table.new_table(false), table.new_chain(&self.chain)];
        messages.push(table.flush_chain(self.chain.name));
        messages.extend(table.new_chain_with_rules(&self.chain));
        messages.push(table.new_label(&self.gate));
        messages.extend(turned_on.iter().map(|setting| table.new_label(setting)));
        self.table.batch(&messages)
    }

    /// Ends the gate's part. The last gate turns the settings off that portgate has turned on, the recorded ones and these,
    /// and then removes the guard; if that fails, the guard stays.
    pub(crate) fn release(&mut self, settings: &mut [&mut Setting], turned_on: &Names) -> Result<(), Error> {
        let mut outcome = Ok(());
        for _ in 0..ATTEMPTS {
            let generation = self.table.generation()?;
            let record = self.record()?;
            if record.has_others_than(&self.gate) {
                let is_known = record.chains.contains(&self.gate);
                let leave = is_known.then(|| self.table.delete_chain(&self.gate));
                return Ok(self.table.batch(leave.as_slice())?);
            }
            let turned_on = &record.turned_on() | turned_on;
            for setting in settings.iter_mut().filter(|setting| turned_on.contains(setting.name())) {
                turn_off(setting)?;
            }
            outcome = self.table.delete_unless_changed(generation);
            // A gate that has just joined must not lose its guard.
            if !matches!(outcome, Err(Refused { errno: Errno::RESTART, .. })) {
                break;
            }
        }
        Ok(outcome?)
    }
}

/// An interface that is gone has nothing to turn off.
fn turn_off(setting: &mut Setting) -> Result<(), Error> {
    let off = setting.follow().and_then(|()| if setting.is_on()? { setting.set(false) } else { Ok(()) });
    match off {
        Err(error) if error.is_missing() => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// The bridges that have a guard.
fn guarded(table: &mut TableSocket) -> Result<Vec<String>, Refused> {
    Ok(table.tables()?.iter().filter_map(|table| Some(table.strip_prefix(PREFIX)?.to_owned())).collect())
}

/// Ends the part of a gate that does not run in the guards of all bridges but this one, and removes the guards of bridges
/// that are gone. Goes on after a failure and reports the first. Returns the bridges that were guarded.
pub(crate) fn sweep(table: &mut TableSocket, gate: &str, except: Option<&str>) -> Result<Vec<String>, Error> {
    let bridges = guarded(table)?;
    let mut outcome = Ok(());
    for bridge in bridges.iter().filter(|bridge| Some(bridge.as_str()) != except) {
        outcome = outcome.and(sweep_bridge(bridge, gate));
    }
    outcome.map(|()| bridges)
}

fn sweep_bridge(bridge: &str, gate: &str) -> Result<(), Error> {
    let mut guard = Guard::open(bridge, gate)?;
    let Some(mut settings) = open_settings(bridge)? else { return Ok(guard.table.delete()?) };
    if !guard.record()?.chains.contains(gate) {
        return Ok(());
    }
    let [loopback, marks] = &mut settings;
    guard.release(&mut [loopback, marks], &Names::new())
}

/// The settings of a bridge that gates change; `None` if the bridge is gone.
fn open_settings(bridge: &str) -> Result<Option<[Setting; 2]>, Error> {
    match [ROUTE_LOCALNET, SRC_VALID_MARK].map(|name| Setting::open(bridge, name)) {
        [Ok(loopback), Ok(marks)] => Ok(Some([loopback, marks])),
        [Err(error), _] | [_, Err(error)] if error.is_missing() => Ok(None),
        [Err(error), _] | [_, Err(error)] => Err(error.into()),
    }
}

/// Makes the settings of a bridge without a guard what they are for a new interface: gates did not always have a guard, and
/// turned settings on without a record. Docker keeps what it needs.
pub(crate) fn reset_unrecorded(bridge: &str) -> Result<(), Error> {
    let Some(settings) = open_settings(bridge)? else { return Ok(()) };
    for setting in settings {
        let default = Setting::open("default", setting.name())?.is_on()?;
        let needed = setting.name() == ROUTE_LOCALNET && is_needed_by_docker(bridge);
        if setting.is_on()? && !default && !needed {
            setting.set(false)?;
        }
    }
    Ok(())
}
