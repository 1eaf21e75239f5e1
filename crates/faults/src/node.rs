//! A node of a cluster, and a pod of the forward: they send back every byte inverted.

use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use crate::pattern::invert;

/// Where a node serves, by TCP and by UDP: a NodePort.
pub(crate) const PORT: u16 = 30_001;

/// What a node's container does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Part {
    /// It serves.
    Serve,
    /// It has an address, and listens nowhere.
    Idle,
}

/// Plays the part until SIGTERM: the first process of a container is ended by no signal but those that it handles.
pub(crate) async fn run(part: Part) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = serve(), if part == Part::Serve => served,
        _ = terminate.recv() => Ok(()),
    }
}

async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    tokio::join!(serve_connections(listener), serve_datagrams(socket));
    Ok(())
}

/// Serves the connections of this listener for ever.
pub(crate) async fn serve_connections(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(answer(stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Each direction ends by itself: what was received is answered after the client's last byte.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return stream.shutdown().await,
            length => {
                invert(&mut buffer[..length]);
                stream.write_all(&buffer[..length]).await?;
            }
        }
    }
}

async fn serve_datagrams(socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    loop {
        if let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            invert(&mut buffer[..length]);
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    }
}
