//! Accepting connections.

use std::io;
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};

use super::connection::Connection;
use super::dial::dial;
use super::options;
use super::peer::Peer;
use crate::backoff::Backoff;
use crate::mapping::Mapping;
use crate::stop::{Orders, Stop};

/// A listening socket and the connections that came through it.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    mapping: Arc<Mapping>,
    connections: JoinSet<()>,
}

impl Listener {
    pub(crate) fn new(socket: std::net::TcpListener, mapping: Arc<Mapping>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::from_std(socket)?, mapping, connections: JoinSet::new() })
    }

    /// Serves until it is told to stop; nothing else ends it.
    pub(crate) async fn run(mut self, mut stop: Orders) {
        let mut backoff = Backoff::default();
        let stop = loop {
            tokio::select! {
                stop = stop.ordered() => break stop,
                // An ended connection cancels the wait of an accept that failed. That is welcome: it may have been
                // file descriptors that were missing, and the connection's are free now.
                Some(ended) = self.connections.join_next() => report(ended),
                stream = accept(&self.socket, &self.mapping, &mut backoff) => {
                    self.mapping.common.demand.used();
                    self.connections.spawn(serve(stream, self.mapping.clone()));
                }
            }
        };
        drop(self.socket);
        if let Stop::Drain(limit) = stop {
            // That the limit has passed shows in the connections that are left.
            let _ = timeout(limit, async { while self.connections.join_next().await.is_some() {} }).await;
        }
        self.connections.shutdown().await;
    }
}

/// A task of a connection has ended; if it panicked, the connection was reset and nothing else happened.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task panicked");
    }
}

/// Accepts the next connection, whatever it takes: what is missing now comes back when connections end.
async fn accept(socket: &TcpListener, mapping: &Mapping, backoff: &mut Backoff) -> TcpStream {
    loop {
        match socket.accept().await {
            Ok((stream, _)) => {
                backoff.succeeded();
                return stream;
            }
            // This connection ended while it waited; the next one is not concerned.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if backoff.is_fresh() {
                    mapping.tally.note(format_args!("cannot accept connections for now: {error}"));
                }
                sleep(backoff.failed()).await;
            }
        }
    }
}

/// One connection, from its first moment to its last.
async fn serve(client: TcpStream, mapping: Arc<Mapping>) {
    if let Err(error) = carry(client, &mapping).await {
        tracing::debug!(%error, "a connection was reset");
    }
}

async fn carry(client: TcpStream, mapping: &Mapping) -> io::Result<()> {
    let client = Peer::new(client);
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
