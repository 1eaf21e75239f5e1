//! What runs in a pod.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A server in a pod, which ends when this is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _task: JoinSet<()>,
}

/// A server that does this to each connection.
pub(crate) async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream));
        }
    });
    Server { address, _task: task }
}

/// Sends back what comes, until no more comes.
pub(crate) async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Says something and ends, and then answers with how much it was told in all.
pub(crate) async fn greet(mut stream: TcpStream) {
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Listens to the end, and then says how much it has heard.
pub(crate) async fn count(mut stream: TcpStream) {
    let mut heard = Vec::new();
    if stream.read_to_end(&mut heard).await.is_ok() {
        let _ = stream.write_all(heard.len().to_string().as_bytes()).await;
    }
}

/// Talks without end.
pub(crate) async fn flood(mut stream: TcpStream) {
    let chunk = vec![7; 64 * 1024];
    while stream.write_all(&chunk).await.is_ok() {}
}

/// Breaks the connection once something has come.
pub(crate) async fn reset(mut stream: TcpStream) {
    let _ = stream.read_exact(&mut [0; 1]).await;
    // What has not been read makes it a reset.
    let _ = stream.readable().await;
}

/// Bytes in which a gap, a repetition or another stream's would be seen.
pub(crate) fn content(seed: usize, length: usize) -> Bytes {
    let words = (0..length.div_ceil(8)).map(|at| (at as u64).wrapping_mul(0x9e37_79b9).wrapping_add(seed as u64));
    words.flat_map(u64::to_le_bytes).take(length).collect::<Vec<u8>>().into()
}
