//! The services of many connections and small messages.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::service::{REQUEST_END, RESPONSE};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;

/// The longest request, in bytes.
const MAX_REQUEST: usize = 4096;

/// Serves each connection in a task of its own.
pub(super) async fn serve<F>(address: SocketAddr, service: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    stream.set_nodelay(true)?;
                    connections.spawn(service(stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One byte for one byte. This side closes first, so that the client's ports do not rest in `TIME_WAIT`.
pub(super) async fn ping(mut stream: TcpStream) -> io::Result<()> {
    let byte = stream.read_u8().await?;
    stream.write_u8(byte).await?;
    stream.shutdown().await
}

/// The same answer to each request.
pub(super) async fn http(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::with_capacity(MAX_REQUEST);
    while request.len() < MAX_REQUEST && stream.read_buf(&mut request).await? > 0 {
        if request.ends_with(REQUEST_END) {
            stream.write_all(RESPONSE).await?;
            request.clear();
        }
    }
    Ok(())
}
