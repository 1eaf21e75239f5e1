//! Accepting connections of a forward.

use std::io;
use std::sync::Arc;

use portgate_relay::Backoff;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Mapping;
use super::carry::serve;

/// One listening socket of a mapping.
pub(super) struct Listener {
    socket: TcpListener,
    mapping: Arc<Mapping>,
}

impl Listener {
    /// Registers the socket with the runtime of this context.
    pub(super) fn new(socket: std::net::TcpListener, mapping: Arc<Mapping>) -> io::Result<Self> {
        Ok(Self { socket: TcpListener::from_std(socket)?, mapping })
    }

    /// Serves until the mapping is closed; nothing else ends it.
    pub(super) async fn run(self, closed: CancellationToken) {
        let mut backoff = Backoff::default();
        while let Some(client) = closed.run_until_cancelled(self.accept(&mut backoff)).await {
            let mapping = self.mapping.clone();
            let cut = mapping.cut.clone();
            let connection = async move { cut.run_until_cancelled(serve(client, &mapping)).await.unwrap_or_default() };
            self.mapping.connections.spawn(connection);
        }
    }

    /// Accepts the next connection, whatever it takes: what is missing now comes back when connections end. Cancel-safe.
    async fn accept(&self, backoff: &mut Backoff) -> TcpStream {
        loop {
            match self.socket.accept().await {
                Ok((client, _)) => {
                    backoff.succeeded();
                    return client;
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
}
