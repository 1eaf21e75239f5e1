//! The set of open mappings.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use portgate_core::mapping::Local;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use tokio::task::JoinSet;

use crate::bind::Bound;
use crate::demand::Demand;
use crate::limits::Limits;
use crate::mapping::{Common, Mapping};
use crate::pool::Pool;
use crate::route::Route;
use crate::stop::{Stop, Switch};
use crate::tally::Tally;
use crate::tcp::{self, Congestion, Supplies};
use crate::threads::Threads;
use crate::udp;

/// Sets of datagram buffers that are kept for the next batch. More are in use at a time only if more threads than this
/// receive datagrams at once.
const SPARE_BATCHES: usize = 4;

/// Carries traffic for any number of mappings. Dropping it cuts everything.
#[derive(Debug)]
pub struct Relay {
    common: Arc<Common>,
    open: BTreeMap<Local, Open>,
    /// Started for the first mapping.
    threads: Option<Arc<Threads>>,
}

#[derive(Debug)]
struct Open {
    mapping: Arc<Mapping>,
    switch: Switch,
    listeners: JoinSet<()>,
}

impl Open {
    async fn end(mut self, stop: Stop) {
        self.switch.order(stop);
        while self.listeners.join_next().await.is_some() {}
    }
}

impl Relay {
    /// A relay without a mapping. It reports uses and failures of backends to `demand`.
    pub fn new(limits: Limits, demand: Arc<Demand>) -> Self {
        let (supplies, congestion, batches) = (Supplies::new(), Congestion::find(), Pool::new(SPARE_BATCHES));
        let common = Common { limits, demand, supplies, congestion, batches };
        Self { common: Arc::new(common), open: BTreeMap::new(), threads: None }
    }

    /// Starts the threads that carry traffic, which the first mapping would start otherwise: for a process that is about
    /// to give up the right to start any. Must be called within a tokio runtime.
    pub fn start(&mut self) -> io::Result<()> {
        self.threads().map(drop)
    }

    /// Opens a mapping: serves all of `sockets`, with one route and one set of counters. All or nothing. Within a runtime
    /// of several threads, the first mapping starts [`Limits::threads`] further ones, which end with the relay; in a
    /// runtime of one thread, that one carries all.
    ///
    /// Fails with [`io::ErrorKind::AlreadyExists`] if the mapping is open already, and with the system's error if a
    /// socket cannot be registered with its runtime or a thread not be started. Must be called within a tokio runtime
    /// with I/O and time enabled.
    pub fn open(&mut self, local: Local, sockets: Vec<Bound>, resolution: Resolution) -> io::Result<()> {
        if self.open.contains_key(&local) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{local} is open already")));
        }
        let mapping =
            Arc::new(Mapping { route: Route::new(resolution), tally: Tally::default(), common: self.common.clone() });
        let threads = self.threads()?;
        let (switch, orders) = Switch::new();
        let mut listeners = JoinSet::new();
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for socket in sockets {
            match socket {
                Bound::Tcp(socket) => streams.push(socket),
                Bound::Udp(socket) => datagrams.push(socket),
            }
        }
        if !streams.is_empty() {
            let place = threads.place(None);
            let thread = place.handle().clone();
            let _registers = thread.enter();
            let listener = tcp::Listener::new(streams, mapping.clone(), threads.clone(), place)?;
            listeners.spawn_on(listener.run(orders.clone()), &thread);
        }
        if !datagrams.is_empty() {
            let place = threads.place(None);
            let thread = place.handle().clone();
            let _registers = thread.enter();
            let listener = udp::Listener::new(datagrams, mapping.clone(), place)?;
            listeners.spawn_on(listener.run(orders), &thread);
        }
        self.open.insert(local, Open { mapping, switch, listeners });
        Ok(())
    }

    fn threads(&mut self) -> io::Result<Arc<Threads>> {
        let threads = match self.threads.take() {
            Some(threads) => threads,
            None => Arc::new(Threads::start(self.common.limits.threads)?),
        };
        Ok(self.threads.insert(threads).clone())
    }

    /// Leads a mapping to other backends from now on. Open TCP connections stay as they are. UDP sessions whose backend
    /// is gone move to another, unnoticed by their clients. An unchanged resolution has no effect, nor has a mapping that
    /// is not open.
    pub fn route(&self, local: &Local, resolution: Resolution) {
        if let Some(open) = self.open.get(local) {
            open.mapping.route.replace(resolution);
        }
    }

    /// Closes a mapping: its connections are reset and its sessions ended; no other mapping notices. When it returns,
    /// the ports are free. A mapping that is not open is closed already.
    pub async fn close(&mut self, local: &Local) {
        if let Some(open) = self.open.remove(local) {
            open.end(Stop::Cut).await;
        }
    }

    /// What a mapping carried since it was opened; `None` if it is not open.
    pub fn counters(&self, local: &Local) -> Option<Counters> {
        self.open.get(local).map(|open| open.mapping.tally.counters())
    }

    /// Stops listening everywhere at once, lets open TCP connections finish for at most [`Limits::drain`], and resets
    /// those that are left. UDP sessions end at once.
    pub async fn drain(self) {
        let stop = Stop::Drain(self.common.limits.drain);
        let mut ending: JoinSet<()> = self.open.into_values().map(|open| open.end(stop)).collect();
        while ending.join_next().await.is_some() {}
    }
}
