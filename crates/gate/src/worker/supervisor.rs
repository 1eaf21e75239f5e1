//! The supervisor's side: what is open, and a process that serves it.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem::{replace, take};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::limits::WORKER_TEXT;
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, LastError};
use portgate_core::table::Resolution;
use portgate_relay::{Bound, Demand, Round};
use tokio::time::{Instant, sleep_until, timeout};

use super::channel::DESCRIPTORS;
use super::message::Order;
use super::process::{Happening, Process};
use super::restarts::Restarts;
use super::tally::Tally;
use super::{Refused, WorkerEvent, WorkerSettings};

/// How long the counters are waited for. A worker that takes longer may be replaced soon; what it last reported is there.
const COUNTING: Duration = Duration::from_secs(1);

/// How much longer than its limit a worker may drain.
const GRACE: Duration = Duration::from_secs(1);

/// The relay in a process of its own. It has the verbs of [`portgate_relay::Relay`].
///
/// Orders are queued, and obeyed in order; they are sent while [`Worker::next`], or another verb that waits, is polled.
/// Dropping it ends the process and cuts everything.
#[derive(Debug)]
pub struct Worker {
    settings: WorkerSettings,
    demand: Arc<Demand>,
    open: BTreeMap<Local, Open>,
    life: Life,
    restarts: Restarts,
    refused: VecDeque<Refused>,
    replaced: Option<String>,
    /// What the process waits for.
    wish: Option<Wish>,
}

/// A resolution that the worker asked for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    /// Its round there, and here.
    theirs: u64,
    ours: Round,
}

#[derive(Debug)]
struct Open {
    sockets: Arc<[OwnedFd]>,
    resolution: Resolution,
    tally: Tally,
}

#[derive(Debug)]
enum Life {
    Running(Box<Process>),
    /// The last process ended, and the next one starts at this time.
    Ended {
        exit: String,
        next: Instant,
        /// Whether one could not be started meanwhile.
        failed: bool,
    },
}

impl Worker {
    /// Starts the process, and waits until it is at work. Fails if it cannot be started, or ends instead. It reports uses
    /// and failures of backends to `demand`, as a relay does.
    ///
    /// To become another user, this process needs `CAP_SETUID` and `CAP_SETGID`. Must be called within a tokio runtime
    /// with I/O and time enabled.
    pub async fn start(settings: WorkerSettings, demand: Arc<Demand>) -> io::Result<Self> {
        let process = Process::start(&settings, demand.freshness())?;
        let mut worker = Self {
            settings,
            demand,
            open: BTreeMap::new(),
            life: Life::Running(Box::new(process)),
            restarts: Restarts::default(),
            refused: VecDeque::new(),
            replaced: None,
            wish: None,
        };
        worker.finish().await;
        match worker.life {
            Life::Running(_) => Ok(worker),
            Life::Ended { exit, .. } => Err(io::Error::other(format!("the worker ended: {exit}"))),
        }
    }

    /// The id of the process; `None` while there is none.
    pub fn pid(&self) -> Option<u32> {
        match &self.life {
            Life::Running(process) => process.pid(),
            Life::Ended { .. } => None,
        }
    }

    /// Opens a mapping: the worker serves all of `sockets`, of which the supervisor keeps its own descriptors.
    ///
    /// Fails with [`io::ErrorKind::AlreadyExists`] if the mapping is open already, and with
    /// [`io::ErrorKind::InvalidInput`] if it has more than 253 sockets. Whether the worker can take it,
    /// [`Worker::settle`] tells, or [`Worker::next`].
    pub fn open(&mut self, local: Local, sockets: Vec<Bound>, resolution: Resolution) -> io::Result<()> {
        if self.open.contains_key(&local) {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, format!("{local} is open already")));
        }
        if sockets.len() > DESCRIPTORS {
            let message = format!("{local} has more than {DESCRIPTORS} sockets");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let open = Open { sockets: sockets.into_iter().map(descriptor).collect(), resolution, tally: Tally::default() };
        if let Life::Running(process) = &mut self.life {
            open.hand_over(&local, process);
        }
        self.open.insert(local, open);
        Ok(())
    }

    /// Leads a mapping to other backends from now on. A mapping that is not open is ignored.
    pub fn route(&mut self, local: &Local, resolution: Resolution) {
        if let Some(open) = self.open.get_mut(local) {
            open.resolution.clone_from(&resolution);
            self.order(&Order::Route { local: local.clone(), resolution });
        }
    }

    /// Waits until the worker has taken all that was opened, and returns what it refused, which is closed again. If the
    /// worker is dead, or dies meanwhile, the next one will be given them.
    pub async fn settle(&mut self) -> Vec<Refused> {
        self.finish().await;
        self.refusals()
    }

    /// What the worker has refused by now, which is closed. [`Worker::next`] does not tell of it any more.
    pub fn refusals(&mut self) -> Vec<Refused> {
        take(&mut self.refused).into()
    }

    /// Closes mappings: their connections are reset and their sessions ended. When it returns, the ports are free in
    /// both processes. A mapping that is not open is closed already.
    pub async fn close(&mut self, locals: &[Local]) {
        let open = locals.iter().filter(|local| self.open.remove(*local).is_some()).count();
        if open > 0 {
            self.order(&Order::Close { locals: locals.to_vec() });
            self.finish().await;
        }
        // Nobody waits any more to hear of them.
        self.refused.retain(|refused| !locals.contains(&refused.local));
    }

    /// What each open mapping carried since it was opened.
    ///
    /// Of a worker that died it is known what it last reported, here. If there is none at the moment, or if it does not
    /// report within a second, that is all.
    pub async fn counters(&mut self) -> BTreeMap<Local, Counters> {
        let mappings = self.open.len();
        if let Life::Running(process) = &mut self.life {
            process.count(mappings);
        }
        let _ = timeout(COUNTING, self.finish()).await;
        self.open.iter().map(|(local, open)| (local.clone(), open.tally.total())).collect()
    }

    /// Drives the worker until there is something to report. A worker that ended is replaced: at once, or, if it lived
    /// for less than a second, after a pause of 10 ms that doubles up to 1 s. Cancel-safe.
    pub async fn next(&mut self) -> WorkerEvent {
        loop {
            if let Some(exit) = self.replaced.take() {
                return WorkerEvent::Replaced { exit };
            }
            if let Some(refused) = self.refused.pop_front() {
                return WorkerEvent::Refused(refused);
            }
            self.step().await;
        }
    }

    /// Stops listening everywhere, lets open TCP connections finish for at most
    /// [`Limits::drain`](portgate_relay::Limits::drain), and ends the process; a second later, at the latest, it is
    /// cut.
    pub async fn drain(mut self) {
        let limit = self.settings.limits.drain + GRACE;
        self.open.clear();
        self.order(&Order::Drain);
        let ended = async {
            while matches!(self.life, Life::Running(_)) {
                self.step().await;
            }
        };
        // Dropping it cuts what is left.
        let _ = timeout(limit, ended).await;
    }

    fn order(&mut self, order: &Order) {
        if let Life::Running(process) = &mut self.life {
            process.order(order, Arc::default());
        }
    }

    /// Waits until all orders are obeyed, or the process has ended, which one that does not obey does soon. Cancel-safe.
    async fn finish(&mut self) {
        let Life::Running(process) = &mut self.life else { return };
        let mark = process.mark();
        while matches!(&self.life, Life::Running(process) if !process.has_reached(mark)) {
            self.step().await;
        }
    }

    /// Lets one thing happen. Cancel-safe.
    async fn step(&mut self) {
        match &mut self.life {
            Life::Running(process) => tokio::select! {
                happening = process.next() => self.take(happening),
                theirs = fulfilled(&self.demand, self.wish) => {
                    self.wish = None;
                    self.order(&Order::Refreshed { round: theirs });
                }
            },
            Life::Ended { next, .. } => {
                sleep_until(*next).await;
                self.revive();
            }
        }
    }

    fn take(&mut self, happening: Happening) {
        match happening {
            // A worker cannot refuse what it was not given.
            Happening::Refused(Refused { local, message }) => {
                if self.open.remove(&local).is_some() {
                    self.refused.push_back(Refused { local, message: WORKER_TEXT.cut(message) });
                }
            }
            Happening::Counters(counters) => {
                for (local, mut counters) in counters {
                    if let Some(open) = self.open.get_mut(&local) {
                        counters.last_error = counters.last_error.map(bounded);
                        open.tally.update(counters);
                    }
                }
            }
            // Of two, the older one is fulfilled with the newer one.
            Happening::Wish { round, urgency } => {
                self.wish = Some(Wish { theirs: round, ours: self.demand.ask(urgency) });
            }
            Happening::Reached => {}
            Happening::End(exit) => self.bury(exit),
        }
    }

    /// Lets go of a process that has ended, or has to.
    fn bury(&mut self, exit: String) {
        let Life::Running(process) = &self.life else { return };
        process.kill();
        let next = Instant::now() + self.restarts.after(process.lived());
        self.life = Life::Ended { exit, next, failed: false };
        self.wish = None;
        for open in self.open.values_mut() {
            open.tally.bury();
        }
    }

    /// Starts the next process, and gives it all that is open.
    fn revive(&mut self) {
        match Process::start(&self.settings, self.demand.freshness()) {
            Ok(mut process) => {
                for (local, open) in &self.open {
                    open.hand_over(local, &mut process);
                }
                let ended = replace(&mut self.life, Life::Running(Box::new(process)));
                if let Life::Ended { exit, .. } = ended {
                    self.replaced = Some(exit);
                }
            }
            Err(error) => {
                if let Life::Ended { next, failed, .. } = &mut self.life {
                    if !*failed {
                        tracing::warn!(%error, "cannot start a worker for now");
                    }
                    *failed = true;
                    *next = Instant::now() + self.restarts.after(Duration::ZERO);
                }
            }
        }
    }
}

impl Open {
    fn hand_over(&self, local: &Local, process: &mut Process) {
        let (local, resolution) = (local.clone(), self.resolution.clone());
        let order = Order::Open { local, resolution, sockets: self.sockets.len() };
        process.order(&order, self.sockets.clone());
    }
}

/// The round that the worker waits for, once it has ended here; never, where it waits for none.
async fn fulfilled(demand: &Demand, wish: Option<Wish>) -> u64 {
    match wish {
        Some(Wish { theirs, ours }) => {
            demand.ended(ours).await;
            theirs
        }
        None => std::future::pending().await,
    }
}

fn bounded(error: LastError) -> LastError {
    LastError { message: WORKER_TEXT.cut(error.message), ..error }
}

fn descriptor(socket: Bound) -> OwnedFd {
    match socket {
        Bound::Tcp(listener) => listener.into(),
        Bound::Udp(socket) => socket.into(),
    }
}
