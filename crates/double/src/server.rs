//! Accepting connections, and refusing them when told to.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Peer};
use crate::connections::Connection;
use crate::hostile::{self, Hostility, Stage};
use crate::shared::Shared;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// An order, and where to say that it is carried out.
pub(crate) struct Call {
    pub(crate) order: Order,
    pub(crate) done: oneshot::Sender<io::Result<()>>,
}

/// What to do with new connections.
#[derive(Debug)]
pub(crate) enum Order {
    Refuse,
    Accept,
    /// To break all connections as well, and to accept again after this.
    Restart(Duration),
}

/// The socket that connections come to.
struct Door {
    address: SocketAddr,
    state: State,
}

enum State {
    Open(TcpListener),
    /// Bound, so that nobody else gets the port, but not listening, so that connections are refused.
    Shut(TcpSocket),
    /// The port was lost to somebody else.
    Lost,
}

impl Door {
    fn shut(&mut self) -> io::Result<()> {
        if let State::Open(_) = self.state {
            // The port is never free in between.
            self.state = State::Shut(bind(self.address)?);
        }
        Ok(())
    }

    fn open(&mut self) -> io::Result<()> {
        let socket = match std::mem::replace(&mut self.state, State::Lost) {
            State::Open(listener) => {
                self.state = State::Open(listener);
                return Ok(());
            }
            State::Shut(socket) => socket,
            State::Lost => bind(self.address)?,
        };
        self.state = State::Open(socket.listen(BACKLOG)?);
        Ok(())
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        match &self.state {
            State::Open(listener) => listener.accept().await.map(|(stream, _)| stream),
            State::Shut(_) | State::Lost => std::future::pending().await,
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Connections that are open do not hold the port.
    socket.set_reuseaddr(true)?;
    // Nor does the socket that listened before.
    #[cfg(unix)]
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

/// Listens; a port of 0 becomes a real one.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address)?.listen(BACKLOG)
}

/// Serves the API until told to stop, and then breaks all connections.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut calls: mpsc::Receiver<Call>,
    stop: CancellationToken,
) {
    let mut door = Door { address: shared.address, state: State::Open(listener) };
    let mut connections = JoinSet::new();
    let mut reopening = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = door.accept() => match accepted {
                Ok(stream) => {
                    connections.spawn(converse(stream, Arc::clone(&shared), shared.connections.add()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::task::yield_now().await;
                }
            },
            Some(Call { order, done }) = calls.recv() => {
                reopening = match order {
                    Order::Restart(after) => Some(Instant::now() + after),
                    Order::Refuse | Order::Accept => None,
                };
                let carried_out = if matches!(order, Order::Accept) { door.open() } else { door.shut() };
                if matches!(order, Order::Restart(_)) {
                    shared.connections.cut(|_| true);
                }
                let _ = done.send(carried_out);
            }
            () = at(reopening) => {
                reopening = None;
                if let Err(error) = door.open() {
                    tracing::warn!(%error, "cannot listen again");
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

/// Waits for the time, for ever if there is none.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// One connection, until either side ends it.
async fn converse(stream: TcpStream, shared: Arc<Shared>, connection: Connection) {
    let cut = connection.cut.clone();
    tokio::select! {
        () = cut.cancelled() => {}
        () = speak(stream, shared, connection) => {}
    }
}

/// HTTP over TLS, and after that perhaps a port-forward.
async fn speak(stream: TcpStream, shared: Arc<Shared>, connection: Connection) {
    let _ = stream.set_nodelay(true);
    let hostility = shared.faults.hostility_to_connections();
    if hostility == Some(Hostility::Stall(Stage::Connection)) {
        // That the client leaves is no error.
        let _ = hostile::listen(stream).await;
        return;
    }
    let acceptor = TlsAcceptor::from(Arc::clone(&shared.identity.server));
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "no TLS");
            return;
        }
    };
    if let Some(how) = hostility {
        let _ = Box::pin(how.converse(stream)).await;
        return;
    }
    let certified = shared.identity.knows(stream.get_ref().1.peer_certificates());
    let peer = Arc::new(Peer { certified, connection, session: Mutex::new(None) });
    let service = service_fn(|request| {
        let (shared, peer) = (Arc::clone(&shared), Arc::clone(&peer));
        async move { Ok::<_, Infallible>(api::answer(&shared, &peer, request).await) }
    });
    let http = http1::Builder::new().title_case_headers(true).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = http.with_upgrades().await {
        tracing::debug!(%error, "a connection broke");
    }
    let session = peer.session.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(session) = session {
        Box::pin(session.run()).await;
    }
}
