//! Finding a backend that answers.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use portgate_core::table::{Backend, NoBackend};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::congestion::Congestion;
use super::options::configure;
use crate::backoff::is_exhaustion;
use crate::demand::{Demand, Round};
use crate::mapping::{Common, Mapping};
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
    let mut dial = Dial::new(&mapping.route, &mapping.common);
    match timeout(limit, dial.race()).await {
        Ok(outcome) => outcome,
        Err(_) => Err(dial.failure(limit)),
    }
}

struct Dial<'a> {
    route: &'a Route,
    common: &'a Common,
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
    fn new(route: &'a Route, common: &'a Common) -> Self {
        let mut dial = Self {
            route,
            common,
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
                attempts.push(connect(candidate, self.route, self.common.congestion));
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
                () = ended(&self.common.demand, round), if stuck => {
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
        let round = self.common.demand.failed();
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
async fn connect(
    candidate: Arc<Candidate>,
    route: &Route,
    congestion: Congestion,
) -> (Arc<Candidate>, io::Result<TcpStream>) {
    let outcome = tokio::select! {
        biased;
        outcome = open(candidate.backend.address, congestion) => outcome,
        () = gone(&candidate, route) => Err(io::Error::new(io::ErrorKind::HostUnreachable, "it has left this address")),
    };
    (candidate, outcome)
}

/// Connects. Within one machine the other end answers while `connect` runs, and a look at the outcome saves a timer and
/// a turn of the runtime.
async fn open(address: SocketAddr, congestion: Congestion) -> io::Result<TcpStream> {
    let socket = socket(Domain::for_address(address))?;
    configure(&socket)?;
    congestion.set(&socket);
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error),
        _ => {}
    }
    let stream = TcpStream::from_std(socket.into())?;
    if stream.peer_addr().is_err() {
        stream.writable().await?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    Ok(stream)
}

/// A socket that does not block; on Linux by one call.
fn socket(domain: Domain) -> io::Result<Socket> {
    #[cfg(target_os = "linux")]
    return Socket::new(domain, Type::STREAM.nonblocking(), None);
    #[cfg(not(target_os = "linux"))]
    {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }
}

/// Whether a connection is not refused, but not made yet either.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(unix)]
    return rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS);
    #[cfg(not(unix))]
    return error.kind() == io::ErrorKind::WouldBlock;
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;

    use super::*;

    #[tokio::test]
    async fn a_dialled_connection_sends_at_once_and_asks_for_signs_of_life() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = open(listener.local_addr().unwrap(), Congestion::find()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[tokio::test]
    async fn a_refusal_is_an_error() {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = open(address, Congestion::find()).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
