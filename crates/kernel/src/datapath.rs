//! The kernel path of one gate, from start to end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use portgate_core::control::Detail;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, RelayReason};
use portgate_core::table::Table;
use rustix::io::Errno;

use crate::conntrack::Conntrack;
use crate::counters;
use crate::elements::Elements;
use crate::entry::{Fates, History};
use crate::error::Error;
use crate::guard;
use crate::identity::{Identity, Place};
use crate::interface::Interface;
use crate::plan::Plan;
use crate::route::Routes;
use crate::ruleset::Ruleset;
use crate::setting::forwards;
use crate::socket::Refused;
use crate::table::{Shape, TableSocket};

/// Carries the mappings of one gate in the kernel.
///
/// The table belongs to this value's socket: when the process ends, however it does, the kernel removes the table, and
/// nobody else can change it before (`NFT_TABLE_F_OWNER`, Linux 5.12; an older kernel does neither). Dropping the value
/// does the same and leaves routes, settings and the bridge's guard behind; [`Datapath::end`] removes all.
///
/// Whatever it takes to mend and to end is open from the start: it works in a process that has no descriptor left.
#[derive(Debug)]
pub struct Datapath {
    place: Place,
    ruleset: Ruleset,
    table: TableSocket,
    owned: bool,
    shape: Option<Shape>,
    interface: Interface,
    routes: Routes,
    conntrack: Conntrack,
    plan: Plan,
    elements: Elements,
    history: History,
}

impl Datapath {
    /// Removes what a killed gate left behind, makes the table without a mapping, and lets the bridge carry packets of
    /// 127.0.0.0/8. Fails with what is missing; then nothing has changed.
    pub fn start(identity: Identity, place: Place) -> Result<Self, Error> {
        Self::start_with(identity, place, true)
    }

    /// As [`Datapath::start`] on a kernel that does not know tables with an owner.
    #[doc(hidden)]
    pub fn start_shared(identity: Identity, place: Place) -> Result<Self, Error> {
        Self::start_with(identity, place, false)
    }

    fn start_with(identity: Identity, place: Place, owned: bool) -> Result<Self, Error> {
        let mut table = TableSocket::open(identity.table()).map_err(Error::from_probe)?;
        table.probe().map_err(Error::from_probe)?;
        let interface = Interface::open(&place, &identity)?;
        if place == Place::Container && !forwards()? {
            return Err(Error::NotForwarding);
        }
        let mut routes = Routes::open(identity.mark(), interface.index()?)?;
        let identity = identity.beside(&routes.rules_of_others()?)?;
        routes.mark_with(identity.mark());
        let mut path = Self {
            ruleset: Ruleset::new(identity, &place),
            place,
            table,
            owned,
            shape: None,
            interface,
            routes,
            conntrack: Conntrack::open()?,
            plan: Plan::default(),
            elements: Elements::default(),
            history: History::default(),
        };
        path.create()?;
        match path.prepare() {
            Ok(()) => Ok(path),
            Err(error) => {
                if let Err(error) = path.end() {
                    tracing::warn!(%error, "not all that was begun is undone");
                }
                Err(error)
            }
        }
    }

    /// Makes the table with the elements of now, without an owner where the kernel does not know that.
    fn create(&mut self) -> Result<(), Error> {
        if self.owned {
            match self.table.create(&self.ruleset, &self.elements, true) {
                Err(Refused { errno: Errno::OPNOTSUPP | Errno::INVAL, .. }) => self.owned = false,
                outcome => outcome.map_err(Error::from_table)?,
            }
        }
        if !self.owned {
            self.table.create(&self.ruleset, &self.elements, false).map_err(Error::from_table)?;
        }
        self.shape = self.table.shape()?;
        Ok(())
    }

    /// What the table needs beside it, and what must not be there.
    fn prepare(&mut self) -> Result<(), Error> {
        let identity = &self.ruleset.identity;
        self.routes.clear(&identity.marks())?;
        guard::sweep(&mut self.table, identity.table(), self.place.bridge())?;
        self.interface.mend(false).map(|_| ())
    }

    /// Leads the mappings to where this table says, all at once. What has not changed is not touched: no connection, no
    /// datagram, no counter. Fails as a whole: then everything is as before.
    ///
    /// Flows that lead where their mapping does not any more are moved if nothing is lost by it (UDP, and TCP that has no
    /// answer yet); the connections of mappings that are not in the table end.
    pub fn apply(&mut self, table: &Table) -> Result<(), Error> {
        let next = Plan::new(&self.place, table);
        if next == self.plan {
            return Ok(());
        }
        let (elements, routes) = (Elements::new(&next), next.routes());
        let rerouted = routes != self.plan.routes();
        let changed = self
            .route(rerouted.then_some(&routes))
            .and_then(|()| Ok(self.table.change(&self.ruleset, &self.elements, &elements)?));
        match changed {
            Ok(false) => {}
            // Without it, the next `mend` makes the table anew.
            Ok(true) => self.shape = self.table.shape().unwrap_or_default(),
            Err(error) => {
                self.retain_routes(rerouted.then(|| self.plan.routes()).as_ref());
                return Err(error);
            }
        }
        self.retain_routes(rerouted.then_some(&routes));
        let fates = self.history.fates(&self.plan, &next);
        self.history.record(&next);
        (self.plan, self.elements) = (next, elements);
        self.forget(&fates);
        Ok(())
    }

    /// Makes the routes that are missing before packets need them.
    fn route(&mut self, routes: Option<&BTreeMap<Ipv4Addr, Ipv4Addr>>) -> Result<(), Error> {
        let Some(routes) = routes.filter(|routes| !routes.is_empty()) else { return Ok(()) };
        self.interface.accept_marks()?;
        self.routes.add(routes)?;
        Ok(())
    }

    /// Removes the routes that no packet needs. One that stays does no harm.
    fn retain_routes(&mut self, routes: Option<&BTreeMap<Ipv4Addr, Ipv4Addr>>) {
        if let Some(Err(error)) = routes.map(|routes| self.routes.retain(routes)) {
            tracing::warn!(%error, "routes that are not needed stay");
        }
    }

    /// Deletes conntrack entries. The table leads new flows rightly even if that fails.
    fn forget(&mut self, fates: &Fates) {
        if let Err(error) = self.carry_out(fates) {
            tracing::warn!(%error, "running flows keep their backends");
        }
    }

    fn carry_out(&mut self, fates: &Fates) -> Result<usize, Refused> {
        let addresses = if fates.concern_relayed() { self.routes.addresses()? } else { BTreeSet::new() };
        self.conntrack.carry_out(fates, &addresses)
    }

    /// Why the relay carries this mapping; `None` if the kernel does, or if it is not in the table.
    pub fn relay_reason(&self, local: &Local) -> Option<RelayReason> {
        self.plan.relayed.get(local).cloned()
    }

    /// What the kernel carried for each mapping that it carries now, since it took it. Bytes are payload: exact for UDP; for
    /// TCP without 52 bytes of headers for each packet, which is an estimate.
    ///
    /// What is open at the moment is counted only where all is to be told.
    pub fn counters(&mut self, detail: Detail) -> Result<BTreeMap<Local, Counters>, Error> {
        let mut counts = counters::Counts::new();
        for set in counters::sets(&self.plan) {
            counts.extend(self.table.counts(set)?.into_iter().map(|(key, count)| ((set, key), count)));
        }
        let entries = match detail {
            Detail::Whole if !counts.is_empty() => self.conntrack.led()?,
            Detail::Whole | Detail::Brief => Vec::new(),
        };
        Ok(counters::report(&self.plan, &counts, &entries))
    }

    /// Whether it carries any mapping.
    pub fn carries_any(&self) -> bool {
        !self.plan.carried.is_empty()
    }

    /// Whether the interface is still set as it must be: of a change of that, the kernel tells nobody. It costs one or two
    /// system calls.
    pub fn is_set(&self) -> bool {
        self.interface.is_set(self.elements.are_routed())
    }

    /// Puts back what others have removed: the table with all its elements, the bridge's settings and its guard, the rule
    /// and the routes. Returns whether anything was missing. A table that was made anew counts from zero.
    ///
    /// After an error that [is transient](Error::is_transient), what is there still carries, and the same may succeed soon.
    pub fn mend(&mut self) -> Result<bool, Error> {
        self.routes.through(self.interface.index()?);
        let mut missing = false;
        if self.shape.is_none() || self.table.shape()? != self.shape {
            self.create()?;
            self.forget(&History::taken_again(&self.plan));
            missing = true;
        }
        let routes = self.plan.routes();
        missing |= self.interface.mend(!routes.is_empty())?;
        missing |= self.routes.add(&routes)?;
        Ok(missing)
    }

    /// Removes everything, and ends the connections of its mappings. Goes on after a failure and reports the first.
    pub fn end(mut self) -> Result<(), Error> {
        let outcome = remove(self.interface.release(), &mut self.routes, &self.ruleset.identity, &mut self.table);
        let fates = self.history.fates(&self.plan, &Plan::default());
        outcome.and(self.carry_out(&fates).map(|_| ()).map_err(Error::from))
    }
}

/// Removes what a killed gate of this identity left behind; `bridge` is the interface that it used, in the host's network,
/// as far as that is known. Nothing there is no error. Fails with [`Error::Taken`] if the gate runs.
pub fn clean(identity: &Identity, bridge: Option<&str>) -> Result<(), Error> {
    let mut table = TableSocket::open(identity.table()).map_err(Error::from_probe)?;
    table.probe().map_err(Error::from_probe)?;
    if table.has_owner()? {
        return Err(Error::Taken);
    }
    let settings = guard::sweep(&mut table, identity.table(), None).and_then(|guarded| match bridge {
        Some(bridge) if !guarded.iter().any(|name| name == bridge) => guard::reset_unrecorded(bridge),
        _ => Ok(()),
    });
    remove(settings, &mut Routes::open(identity.mark(), None)?, identity, &mut table)
}

/// What is left to remove once the settings are off, or failed to be: the table goes last, because it has a guard too. Goes
/// on after a failure and reports the first.
fn remove(
    settings: Result<(), Error>,
    routes: &mut Routes,
    identity: &Identity,
    table: &mut TableSocket,
) -> Result<(), Error> {
    let routes = routes.clear(&identity.marks()).map_err(Error::from);
    settings.and(routes).and(table.delete().map_err(Error::from_table))
}
