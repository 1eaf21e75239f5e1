//! Finding a backend that answers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use portgate_core::table::{Backend, NoBackend};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::backoff::is_exhaustion;
use crate::demand::{Demand, Round};
use crate::mapping::Mapping;
use crate::route::{Candidate, Candidates, Route};

/// How long a backend is waited for before the next one is tried beside it. On one machine an answer takes well under a
/// millisecond; a backend that needs longer has most likely lost its address.
const HEAD_START: Duration = Duration::from_millis(100);

/// How many further attempts a backend is worth that is silent, one every [`HEAD_START`], when there is no other to try.
/// The first packet to a node that is just coming up may be lost, and Linux sends it again only after a second.
const MORE_ATTEMPTS: u8 = 5;

/// Why a connection found no backend.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error(transparent)]
    NoBackend(#[from] NoBackend),
    #[error("{} ({}): {error}", backend.node, backend.address)]
    Unreachable { backend: Backend, error: io::Error },
    #[error("{} ({}): no answer within {waited:?}", backend.node, backend.address)]
    Silent { backend: Backend, waited: Duration },
    #[error("the mapping has no backend")]
    Empty,
}

/// Connects to one of the mapping's backends.
///
/// They are tried in the route's order. One that refuses is followed by the next at once, one that is silent for
/// [`HEAD_START`] is raced by the next, and the last one by another attempt. A failure asks for a resolution; backends that it finds are tried as well. When
/// all that are known have failed, the dial waits for that resolution to end, and gives up unless it found new ones.
pub(super) async fn dial(mapping: &Mapping) -> Result<TcpStream, DialError> {
    let limit = mapping.common.limits.connect_timeout;
    mapping.common.demand.fresh().await;
    let mut dial = Dial::new(&mapping.route, &mapping.common.demand);
    match timeout(limit, dial.race()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(dial.failure(limit)),
    }
}

struct Dial<'a> {
    route: &'a Route,
    demand: &'a Demand,
    changes: watch::Receiver<Candidates>,
    /// To be tried, best first.
    queue: VecDeque<Arc<Candidate>>,
    /// Where an attempt was made. There is a second one only while the first is unanswered.
    tried: Vec<SocketAddr>,
    /// The newest one that was tried and has not failed yet.
    silent: Option<Arc<Candidate>>,
    more_attempts: u8,
    error: Option<DialError>,
    refresh: Refresh,
}

/// The one resolution that a dial waits for.
#[derive(Clone, Copy)]
enum Refresh {
    NotAsked,
    Asked(Round),
    Ended,
}

impl<'a> Dial<'a> {
    fn new(route: &'a Route, demand: &'a Demand) -> Self {
        let mut dial = Self {
            route,
            demand,
            changes: route.subscribe(),
            queue: VecDeque::new(),
            tried: Vec::new(),
            silent: None,
            more_attempts: MORE_ATTEMPTS,
            error: None,
            refresh: Refresh::NotAsked,
        };
        dial.requeue();
        dial
    }

    async fn race(&mut self) -> Result<TcpStream, DialError> {
        let mut attempts = FuturesUnordered::new();
        loop {
            if let Some(candidate) = self.queue.pop_front() {
                self.tried.push(candidate.backend.address);
                self.silent = Some(candidate.clone());
                attempts.push(connect(candidate, self.route));
            }
            let stuck = attempts.is_empty() && self.queue.is_empty();
            let round = match self.refresh {
                Refresh::Ended if stuck => return Err(self.error.take().unwrap_or(DialError::Empty)),
                Refresh::NotAsked if stuck => Some(self.report()),
                Refresh::Asked(round) => Some(round),
                _ => None,
            };
            tokio::select! {
                biased;
                Some((candidate, outcome)) = attempts.next() => match outcome {
                    Ok(stream) => return Ok(stream),
                    Err(error) => self.failed(&candidate, error)?,
                },
                Ok(()) = self.changes.changed() => self.requeue(),
                () = ended(self.demand, round), if stuck => {
                    self.refresh = Refresh::Ended;
                    self.requeue();
                }
                // Again and again: a node that restarts may be found by a later resolution only.
                () = sleep(HEAD_START), if !stuck => {
                    self.report();
                    self.try_again();
                }
            }
        }
    }

    /// One attempt failed. That is the end if it is not the backend's fault.
    fn failed(&mut self, candidate: &Candidate, error: io::Error) -> Result<(), DialError> {
        let exhausted = is_exhaustion(&error);
        let error = DialError::Unreachable { backend: candidate.backend.clone(), error };
        if exhausted {
            return Err(error);
        }
        candidate.penalise();
        self.report();
        self.silent.take_if(|silent| silent.backend == candidate.backend);
        self.error = Some(error);
        Ok(())
    }

    /// Asks for a resolution, which is the one to wait for, unless one was waited for already.
    fn report(&mut self) -> Round {
        let round = self.demand.failed();
        if !matches!(self.refresh, Refresh::Ended) {
            self.refresh = Refresh::Asked(round);
        }
        round
    }

    /// Queues the silent backend once more, if there is nothing else to try.
    fn try_again(&mut self) {
        if let (Some(silent), true, 1..) = (&self.silent, self.queue.is_empty(), self.more_attempts) {
            self.more_attempts -= 1;
            self.queue.push_back(silent.clone());
        }
    }

    /// Queues what the route leads to now and was not tried yet.
    fn requeue(&mut self) {
        self.changes.mark_unchanged();
        match self.route.order() {
            Ok(order) => {
                let new = |candidate: &Arc<Candidate>| !self.tried.contains(&candidate.backend.address);
                self.queue = order.into_iter().filter(new).collect();
            }
            Err(why) => {
                self.queue.clear();
                self.error = Some(why.into());
            }
        }
    }

    /// What to say after `waited` in vain.
    fn failure(&mut self, waited: Duration) -> DialError {
        let silent = self.silent.take().map(|silent| DialError::Silent { backend: silent.backend.clone(), waited });
        silent.or(self.error.take()).unwrap_or(DialError::Empty)
    }
}

/// Gives up once the route does not lead to the backend any more: nobody may be there to answer or to refuse.
async fn connect(candidate: Arc<Candidate>, route: &Route) -> (Arc<Candidate>, io::Result<TcpStream>) {
    let outcome = tokio::select! {
        biased;
        outcome = TcpStream::connect(candidate.backend.address) => outcome,
        () = gone(&candidate, route) => Err(io::Error::new(io::ErrorKind::HostUnreachable, "it has left this address")),
    };
    (candidate, outcome)
}

/// Waits until the route does not lead to the candidate any more.
async fn gone(candidate: &Arc<Candidate>, route: &Route) {
    let mut changes = route.subscribe();
    while route.contains(candidate) {
        if changes.changed().await.is_err() {
            return;
        }
    }
}

/// Waits for the end of a round; forever if there is none.
async fn ended(demand: &Demand, round: Option<Round>) {
    match round {
        Some(round) => demand.ended(round).await,
        None => std::future::pending().await,
    }
}
