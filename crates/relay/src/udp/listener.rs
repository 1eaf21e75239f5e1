//! The UDP side of a mapping.

use std::future::poll_fn;
use std::io;
use std::net::UdpSocket;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::task::{AbortHandle, JoinError, JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::activity::Clock;
use super::batch::{Batch, Run};
use super::session::{Ends, Refused, Session};
use super::socket::Socket;
use super::table::Table;
use crate::backoff::is_exhaustion;
use crate::mapping::Mapping;
use crate::stop::Orders;
use crate::threads::Place;

/// All listening sockets of a mapping, and the sessions of their clients.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<Arc<Socket>>,
    /// The socket that is looked at first, so that a busy one does not starve the others.
    turn: usize,
    sessions: Table<Ends, Live>,
    answers: JoinSet<Refused>,
    clock: Clock,
    mapping: Arc<Mapping>,
    _place: Place,
}

/// A session, and the task that passes its answers on.
#[derive(Debug)]
struct Live {
    session: Arc<Session>,
    answers: AbortHandle,
}

impl Listener {
    /// Registers the sockets with the runtime of this context, which must be that of `place`.
    pub(crate) fn new(sockets: Vec<UdpSocket>, mapping: Arc<Mapping>, place: Place) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(|socket| Socket::new(socket).map(Arc::new)).collect::<io::Result<_>>()?;
        let (sessions, answers) = (Table::new(), JoinSet::new());
        Ok(Self { sockets, turn: 0, sessions, answers, clock: Clock::start(), mapping, _place: place })
    }

    /// Serves until it is told to stop; nothing else ends it.
    pub(crate) async fn run(mut self, mut orders: Orders) {
        let mut changes = self.mapping.route.subscribe();
        let mut ordered = pin!(orders.ordered());
        // One timer for all sessions. It is never late, and early only after a session's time was extended.
        let mut sweep = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                biased;
                _ = &mut ordered => break,
                Ok(()) = changes.changed() => self.move_sessions(),
                Some(ended) = self.answers.join_next() => self.ended(ended),
                () = &mut sweep, if !self.sessions.is_empty() => sweep.as_mut().reset(self.sweep()),
                socket = poll_fn(|cx| poll_readable(&self.sockets, self.turn, cx)) => {
                    if self.receive(socket) {
                        yield_now().await;
                    }
                }
            }
        }
        self.answers.shutdown().await;
    }

    /// Passes on what a socket has received; true if more is probably waiting.
    fn receive(&mut self, place: usize) -> bool {
        self.turn = place + 1;
        let mapping = self.mapping.clone();
        let mut batch = mapping.common.batches.take().unwrap_or_else(Batch::new);
        let received = self.sockets[place].receive(Interest::READABLE, &mut batch);
        let more = batch.is_full() || received.is_err();
        if let Err(error) = received {
            // An ICMP message about an answer to a client that is gone, on systems that report it here.
            tracing::debug!(%error, "receiving from clients");
        }
        if !batch.is_empty() {
            mapping.common.demand.used();
            let now = self.clock.now();
            batch.for_each_run(|run| self.forward(place, run, now));
        }
        mapping.common.batches.put(batch);
        more
    }

    /// Passes datagrams of one client on. If its backend turns out to be gone, they go to another one.
    fn forward(&mut self, place: usize, run: &Run<'_>, now: Duration) {
        let local = run.to.filter(|_| self.sockets[place].is_wildcard());
        let ends = Ends { listener: place, client: run.from, local };
        let mut sent = 0;
        for _attempt in 0..2 {
            let Some(session) = self.session(ends, now) else { break };
            let outcome = session.forward(run, now);
            sent = outcome.datagrams;
            match outcome.error {
                Some(error) => self.refused(&Refused { session, error }),
                None => break,
            }
            if sent > 0 {
                break;
            }
        }
        let tally = &self.mapping.tally;
        tally.datagrams_dropped.add((run.count() - sent) as u64);
    }

    /// The session between these ends, a new one if there is none; `None` if none can be made.
    fn session(&mut self, ends: Ends, now: Duration) -> Option<Arc<Session>> {
        if let Some(live) = self.sessions.get(ends) {
            return Some(live.session.clone());
        }
        let session = self.open(ends, now)?;
        self.mapping.tally.sessions_total.add(1);
        Some(session)
    }

    /// Opens a session with the first backend that allows it.
    fn open(&mut self, ends: Ends, last: Duration) -> Option<Arc<Session>> {
        let order = match self.mapping.route.order() {
            Ok(order) => order,
            Err(why) => {
                self.mapping.tally.note(why);
                self.mapping.common.demand.failed();
                return None;
            }
        };
        self.make_room();
        for candidate in order {
            match Session::open(ends, candidate.clone(), &self.sockets[ends.listener], &self.mapping, last) {
                Ok(session) => {
                    self.start(&session);
                    return Some(session);
                }
                Err(error) if is_exhaustion(&error) => {
                    self.mapping.tally.note(format_args!("a session for {}: {error}", ends.client));
                    return None;
                }
                Err(error) => self.mapping.failed(&candidate, &error),
            }
        }
        None
    }

    fn start(&mut self, session: &Arc<Session>) {
        let answers = self.answers.spawn(session.clone().answer(self.clock));
        self.sessions.insert(session.ends, Live { session: session.clone(), answers }, session.activity.clone());
        self.mapping.tally.sessions_open.add(1);
    }

    fn end(&mut self, ends: Ends) {
        if let Some(live) = self.sessions.remove(ends) {
            live.answers.abort();
            self.mapping.tally.sessions_open.subtract(1);
        }
    }

    /// Ends the longest idle sessions while there are as many as may be.
    fn make_room(&mut self) {
        while self.sessions.len() >= self.mapping.common.limits.udp_sessions.max(1) {
            let Some((oldest, _)) = self.sessions.oldest() else { return };
            self.end(oldest);
            self.mapping.tally.sessions_evicted.add(1);
        }
    }

    /// Ends the sessions whose time has passed, and returns when to look again.
    fn sweep(&mut self) -> Instant {
        let idle = self.mapping.common.limits.udp_idle;
        let now = self.clock.now();
        while let Some((oldest, last)) = self.sessions.oldest() {
            if last + idle > now {
                return self.clock.instant(last + idle);
            }
            self.end(oldest);
        }
        self.clock.instant(now + idle)
    }

    /// The route has changed: sessions whose backend is gone go on with another one.
    fn move_sessions(&mut self) {
        let route = &self.mapping.route;
        let homeless: Vec<_> = self
            .sessions
            .values()
            .filter(|live| !route.contains(&live.session.candidate))
            .map(|live| (live.session.ends, live.session.activity.last()))
            .collect();
        for (ends, last) in homeless {
            self.end(ends);
            self.open(ends, last);
        }
    }

    /// A task that passed answers on has ended: its backend refused, or the session was ended here.
    fn ended(&mut self, outcome: Result<Refused, JoinError>) {
        match outcome {
            Ok(refused) => self.refused(&refused),
            Err(error) if error.is_panic() => tracing::error!(%error, "a session's task panicked"),
            Err(_) => {}
        }
    }

    /// Ends a session whose backend cannot be reached. The client's next datagram makes a new one.
    fn refused(&mut self, refused: &Refused) {
        let Refused { session, error } = refused;
        let is_current = self.sessions.get(session.ends).is_some_and(|live| Arc::ptr_eq(&live.session, session));
        if is_current {
            self.end(session.ends);
            self.mapping.tally.sessions_refused.add(1);
            self.mapping.failed(&session.candidate, error);
        }
    }
}

/// The place of a socket that has something to receive, from `turn` on.
fn poll_readable(sockets: &[Arc<Socket>], turn: usize, cx: &mut Context<'_>) -> Poll<usize> {
    let mut places = (0..sockets.len()).map(|step| (turn + step) % sockets.len());
    places.find(|&place| sockets[place].poll_readable(cx).is_ready()).map_or(Poll::Pending, Poll::Ready)
}
