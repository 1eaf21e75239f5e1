//! What runs in a pod.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The recorded pod.
pub(crate) const NAMESPACE: &str = "backend";
pub(crate) const POD: &str = "echo-6d4f68dbd7-k8vdx";

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

/// Says something and ends, and then listens to the end.
pub(crate) async fn greet(mut stream: TcpStream) {
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Breaks the connection once something has come.
pub(crate) async fn reset(mut stream: TcpStream) {
    let _ = stream.read_exact(&mut [0; 1]).await;
    // What has not been read makes it a reset.
    let _ = stream.readable().await;
}
