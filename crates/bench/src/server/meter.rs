//! What the node has received, and asking it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::service::METER;

/// Counts what arrives at the node.
#[derive(Debug)]
pub(super) struct Counters {
    start: Instant,
    pub(super) bytes: AtomicU64,
    pub(super) datagrams: AtomicU64,
}

/// The counts at one moment of the counter's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// When.
    pub(crate) at: Duration,
    /// Bytes of TCP.
    pub(crate) bytes: u64,
    /// Datagrams of UDP.
    pub(crate) datagrams: u64,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), bytes: AtomicU64::new(0), datagrams: AtomicU64::new(0) }
    }

    fn sample(&self) -> Sample {
        Sample {
            at: self.start.elapsed(),
            bytes: self.bytes.load(Ordering::Relaxed),
            datagrams: self.datagrams.load(Ordering::Relaxed),
        }
    }
}

/// Answers each line with a sample.
pub(super) async fn answer(stream: TcpStream, counters: Arc<Counters>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await? > 0 {
        let mut answer = serde_json::to_vec(&counters.sample())?;
        answer.push(b'\n');
        stream.write_all(&answer).await?;
        line.clear();
    }
    Ok(())
}

/// A conversation with the node about what it has received.
#[derive(Debug)]
pub(crate) struct Meter {
    stream: BufReader<TcpStream>,
}

impl Meter {
    /// Begins it.
    pub(crate) async fn connect(node: IpAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect((node, METER)).await.context("cannot reach the node")?;
        stream.set_nodelay(true).context("cannot configure the connection to the node")?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// What has arrived by now.
    pub(crate) async fn sample(&mut self) -> anyhow::Result<Sample> {
        self.stream.write_all(b"?\n").await.context("cannot ask the node")?;
        let mut line = String::new();
        self.stream.read_line(&mut line).await.context("the node does not answer")?;
        serde_json::from_str(&line).context("the node's answer is not understood")
    }
}
