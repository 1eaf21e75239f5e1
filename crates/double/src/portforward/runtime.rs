//! The container runtime's part: the connection into the pod, and its words for what fails.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use ring::digest::{SHA256, digest};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;

use super::lane::Lane;
use crate::connections::PodName;
use crate::hostile::Hostility;
use crate::shared::Shared;

/// How much is read from a pod at a time, in bytes, as Go's `io.Copy` does.
pub(crate) const PIECE: usize = 32 * 1024;

/// Leads into one pod.
#[derive(Clone)]
pub(crate) struct Runtime {
    shared: Arc<Shared>,
    pod: PodName,
    /// The sandbox's ID, which the runtime calls the pod by.
    sandbox: String,
    hostility: Option<Hostility>,
}

impl Runtime {
    /// The way into the pod with this uid, from which the sandbox's ID follows.
    pub(crate) fn new(shared: Arc<Shared>, pod: PodName, uid: &Value, hostility: Option<Hostility>) -> Self {
        let hash = digest(&SHA256, uid.as_str().unwrap_or_default().as_bytes());
        let sandbox = hash.as_ref().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { shared, pod, sandbox, hostility }
    }

    /// Carries one connection to a port, until it ends or is `reset`: what comes in to the pod, and what comes from it
    /// into a lane. What fails is told in another. Both lanes are ended.
    pub(crate) async fn forward(
        &self,
        port: u16,
        inbox: mpsc::Receiver<Bytes>,
        reset: impl Future<Output = ()>,
        data: Lane,
        error: Lane,
    ) {
        self.shared.tally.streams.fetch_add(1, Ordering::Relaxed);
        let endless = match self.hostility {
            Some(Hostility::Flood) => Some(&data),
            Some(Hostility::EndlessVerdict) => Some(&error),
            _ => None,
        };
        if let Some(lane) = endless {
            return flood(lane, reset).await;
        }
        let result = tokio::select! {
            result = self.carry(port, inbox, &data) => result,
            () = reset => Ok(()),
        };
        data.end().await;
        if let Err(message) = result {
            error.send(message).await;
        }
        error.end().await;
    }

    /// Copies both ways until both have ended, each in its own time; or until the pod breaks the connection.
    async fn carry(&self, port: u16, inbox: mpsc::Receiver<Bytes>, data: &Lane) -> Result<(), String> {
        let (from_pod, to_pod) = self.connect(port).await?.into_split();
        let copied = tokio::try_join!(read(from_pod, data), write(to_pod, inbox));
        copied.map(drop).map_err(|why| self.broken(port, &why))
    }

    async fn connect(&self, port: u16) -> Result<TcpStream, String> {
        let Some(address) = self.shared.pods.address(&self.pod, port) else {
            return Err(self.unreachable(port, &io::ErrorKind::ConnectionRefused.into()));
        };
        let stream = TcpStream::connect(address).await.map_err(|why| self.unreachable(port, &why))?;
        stream.set_nodelay(true).map_err(|why| self.unreachable(port, &why))?;
        Ok(stream)
    }

    fn unreachable(&self, port: u16, why: &io::Error) -> String {
        let (sandbox, why) = (&self.sandbox, in_go(why));
        let dialled = format!(
            "failed to connect to localhost:{port} inside namespace \"{sandbox}\", \
             IPv4: dial tcp4 127.0.0.1:{port}: connect: {why} IPv6 dial tcp6 [::1]:{port}: connect: {why} "
        );
        self.failed(port, &dialled)
    }

    fn broken(&self, port: u16, why: &io::Error) -> String {
        self.failed(port, &format!("read tcp4 127.0.0.1->127.0.0.1:{port}: read: {}", in_go(why)))
    }

    fn failed(&self, port: u16, why: &str) -> String {
        let sandbox = &self.sandbox;
        let network = format!("/var/run/netns/cni-{}", sandbox.get(..36).unwrap_or_default());
        format!(
            "error forwarding port {port} to pod {sandbox}, uid : \
             failed to execute portforward in network namespace \"{network}\": {why}"
        )
    }
}

/// An error in the words of Go.
fn in_go(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
        kind => kind.to_string(),
    }
}

/// Sends without end.
async fn flood(lane: &Lane, reset: impl Future<Output = ()>) {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    tokio::select! {
        () = async { while lane.send(piece.clone()).await {} } => {}
        () = reset => {}
    }
}

async fn read(mut pod: OwnedReadHalf, data: &Lane) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        if pod.read_buf(&mut buffer).await? == 0 {
            data.end().await;
            return Ok(());
        }
        // A session that takes no more is over, and this with it.
        if !data.send(buffer.split()).await {
            return Ok(());
        }
    }
}

/// A pod that takes no more is none that failed: what it still sends decides.
async fn write(mut pod: OwnedWriteHalf, mut inbox: mpsc::Receiver<Bytes>) -> io::Result<()> {
    while let Some(bytes) = inbox.recv().await {
        if pod.write_all(&bytes).await.is_err() {
            return Ok(());
        }
    }
    let _ = pod.shutdown().await;
    Ok(())
}
