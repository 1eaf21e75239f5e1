//! Accepting connections.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::dial::dial;
use super::options;
use super::peer::Peer;
use crate::backoff::Backoff;
use crate::mapping::Mapping;
use crate::stop::Orders;
use crate::threads::{Place, Threads};

/// All listening sockets of a mapping, and the connections that came through them.
#[derive(Debug)]
pub(crate) struct Listener {
    sockets: Vec<TcpListener>,
    /// The socket that is looked at first, so that a busy one does not starve the others.
    turn: usize,
    mapping: Arc<Mapping>,
    threads: Arc<Threads>,
    place: Place,
    connections: TaskTracker,
}

impl Listener {
    /// Registers the sockets with the runtime of this context, which must be that of `place`. Their connections are spread
    /// over the threads.
    pub(crate) fn new(
        sockets: Vec<std::net::TcpListener>,
        mapping: Arc<Mapping>,
        threads: Arc<Threads>,
        place: Place,
    ) -> io::Result<Self> {
        let sockets = sockets.into_iter().map(TcpListener::from_std).collect::<io::Result<_>>()?;
        Ok(Self { sockets, turn: 0, mapping, threads, place, connections: TaskTracker::new() })
    }

    /// Serves until it is told to stop; nothing else ends it.
    pub(crate) async fn run(mut self, mut stop: Orders) {
        let mut backoff = Backoff::default();
        loop {
            tokio::select! {
                _ = stop.ordered() => break,
                stream = self.accept(&mut backoff) => {
                    self.mapping.common.demand.used();
                    let place = self.threads.place(Some(&self.place));
                    let thread = place.handle().clone();
                    self.connections.spawn_on(serve(stream, self.mapping.clone(), stop.clone(), place), &thread);
                }
            }
        }
        self.sockets.clear();
        self.connections.close();
        self.connections.wait().await;
    }

    /// Accepts the next connection, whatever it takes: what is missing now comes back when connections end. The connection
    /// is not registered with a runtime. Cancel-safe.
    async fn accept(&mut self, backoff: &mut Backoff) -> std::net::TcpStream {
        loop {
            match poll_fn(|cx| self.poll_accept(cx)).await.and_then(TcpStream::into_std) {
                Ok(stream) => {
                    backoff.succeeded();
                    return stream;
                }
                // This connection ended while it waited; the next one is not concerned.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if backoff.is_fresh() {
                        self.mapping.tally.note(format_args!("cannot accept connections for now: {error}"));
                    }
                    sleep(backoff.failed()).await;
                }
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let count = self.sockets.len();
        for place in (0..count).map(|step| (self.turn + step) % count) {
            if let Poll::Ready(accepted) = self.sockets[place].poll_accept(cx) {
                self.turn = place + 1;
                return Poll::Ready(accepted.map(|(stream, _)| stream));
            }
        }
        Poll::Pending
    }
}

/// One connection, from its first moment to its last. It keeps its place until then.
async fn serve(client: std::net::TcpStream, mapping: Arc<Mapping>, mut stop: Orders, _place: Place) {
    tokio::select! {
        biased;
        carried = carry(client, &mapping) => {
            if let Err(error) = carried {
                tracing::debug!(%error, "a connection was reset");
            }
        }
        () = stop.cut() => {}
    }
}

async fn carry(client: std::net::TcpStream, mapping: &Mapping) -> io::Result<()> {
    let client = Peer::new(TcpStream::from_std(client)?);
    if !options::INHERITED {
        options::configure(&SockRef::from(&client.stream))?;
    }
    // Boxed: dialling takes more memory than all the rest of a connection, for a moment of its life.
    let server = match Box::pin(dial(mapping)).await {
        Ok(server) => Peer::new(server),
        Err(error) => {
            mapping.tally.connections_failed.add(1);
            mapping.tally.note(&error);
            return Err(io::Error::other(error));
        }
    };
    Connection::new(client, server, mapping).run().await
}
