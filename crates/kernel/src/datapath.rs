//! The kernel path of one gate, from start to end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use portgate_core::control::Detail;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, RelayReason};
use portgate_core::table::Table;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use crate::conntrack::Conntrack;
use crate::counters;
use crate::elements::Elements;
use crate::entry::{Fates, History};
use crate::error::Error;
use crate::identity::{Identity, Place};
use crate::plan::Plan;
use crate::route::Routes;
use crate::ruleset::Ruleset;
use crate::setting::{Setting, forwards};
use crate::socket::Refused;
use crate::table::{Shape, TableSocket};

/// Carries the mappings of one gate in the kernel.
///
/// The table belongs to this value's socket: when the process ends, however it does, the kernel removes the table, and
/// nobody else can change it before (`NFT_TABLE_F_OWNER`, Linux 5.12; an older kernel does neither). Dropping the value
/// does the same and leaves routes and settings behind; [`Datapath::end`] removes all.
#[derive(Debug)]
pub struct Datapath {
    place: Place,
    ruleset: Ruleset,
    table: TableSocket,
    owned: bool,
    shape: Option<Shape>,
    routes: Routes,
    conntrack: Conntrack,
    plan: Plan,
    elements: Elements,
    history: History,
    /// What `end` puts back.
    turned_on: Vec<Setting>,
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
        let interface = interface(&place)?;
        if place == Place::Container && !forwards()? {
            return Err(Error::NotForwarding);
        }
        let routes = Routes::open(identity.mark(), interface)?;
        let mut path = Self {
            ruleset: Ruleset::new(identity, &place),
            place,
            table,
            owned,
            shape: None,
            routes,
            conntrack: Conntrack::open()?,
            plan: Plan::default(),
            elements: Elements::default(),
            history: History::default(),
            turned_on: Vec::new(),
        };
        path.create()?;
        match path.prepare() {
            Ok(()) => Ok(path),
            Err(error) => path.table.delete().map_err(Error::from).and(Err(error)),
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
        self.routes.retain(&BTreeMap::new())?;
        if let Some(bridge) = self.place.bridge().map(ToOwned::to_owned) {
            let (loopback, marks) = (Setting::route_localnet(&bridge), Setting::src_valid_mark(&bridge));
            loopback.turn_on()?;
            self.turned_on.push(loopback);
            // A killed gate left it on, or another on the same bridge needs it: who ends puts it back, who stays mends it.
            if marks.is_on()? {
                self.turned_on.push(marks);
            }
        }
        Ok(())
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
        self.accept_marks()?;
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
        if let Err(error) = self.conntrack.carry_out(fates) {
            tracing::warn!(%error, "running flows keep their backends");
        }
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

    /// Puts back what others have removed: the table with all its elements, the bridge's settings, the rule and the routes.
    /// Returns whether anything was missing. A table that was made anew counts from zero.
    pub fn mend(&mut self) -> Result<bool, Error> {
        self.routes.through(interface(&self.place)?);
        let mut missing = false;
        if self.shape.is_none() || self.table.shape()? != self.shape {
            self.create()?;
            self.forget(&History::taken_again(&self.plan));
            missing = true;
        }
        for setting in &self.turned_on {
            missing |= setting.turn_on()?;
        }
        let routes = self.plan.routes();
        if !routes.is_empty() {
            missing |= self.accept_marks()?;
            missing |= self.routes.add(&routes)?;
        }
        Ok(missing)
    }

    /// Removes everything, and ends the connections of its mappings. Goes on after a failure and reports the first.
    pub fn end(mut self) -> Result<(), Error> {
        // The table goes last of what can be noticed: another gate on the same bridge then puts the settings back.
        let outcome = remove(&mut self.table, &mut self.routes, &self.turned_on);
        let fates = self.history.fates(&self.plan, &Plan::default());
        outcome.and(self.conntrack.carry_out(&fates).map(|_| ()).map_err(Error::from))
    }

    /// The packets of a backend that has a route in the gate's table only come back by an interface that the host's own
    /// table does not expect them at; the reverse path filter asks the gate's table if it respects marks. Returns whether
    /// it did not.
    fn accept_marks(&mut self) -> Result<bool, Error> {
        let setting = Setting::src_valid_mark(self.place.bridge().unwrap_or("all"));
        let was_off = setting.turn_on()?;
        if was_off && !self.turned_on.contains(&setting) {
            self.turned_on.push(setting);
        }
        Ok(was_off)
    }
}

/// Removes what a killed gate of this identity left behind; `bridge` is the interface that it used, in the host's network.
/// Nothing there is no error. Fails with [`Error::Taken`] if the gate runs.
pub fn clean(identity: &Identity, bridge: Option<&str>) -> Result<(), Error> {
    let mut table = TableSocket::open(identity.table()).map_err(Error::from_probe)?;
    table.probe().map_err(Error::from_probe)?;
    let settings = bridge.map(|bridge| [Setting::route_localnet(bridge), Setting::src_valid_mark(bridge)]);
    remove(&mut table, &mut Routes::open(identity.mark(), None)?, settings.as_ref().map_or(&[], |both| &both[..]))
}

/// Goes on after a failure and reports the first.
fn remove(table: &mut TableSocket, routes: &mut Routes, settings: &[Setting]) -> Result<(), Error> {
    let mut outcome = Ok(());
    for setting in settings {
        outcome = outcome.and(setting.reset().map_err(Error::from));
    }
    outcome = outcome.and(routes.retain(&BTreeMap::new()).map_err(Error::from));
    outcome.and(table.delete().map_err(Error::from_table))
}

/// The number of the interface to the nodes.
fn interface(place: &Place) -> Result<Option<u32>, Error> {
    let Some(bridge) = place.bridge() else { return Ok(None) };
    let refused = |errno| Refused { operation: "open a socket", errno };
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None).map_err(refused)?;
    match netdevice::name_to_index(&any, bridge) {
        Ok(index) => Ok(Some(index)),
        Err(_) => Err(Error::NoBridge { bridge: bridge.to_owned() }),
    }
}
