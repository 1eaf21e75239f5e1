//! One question, one answer, again and again, by many clients at a time: in one thread, whose loop waits for all of them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until, timeout};

use super::Window;
use crate::cpu;
use crate::results::{Quantity, Reading};
use crate::service::{REQUEST, RESPONSE};
use crate::statistics::quantile;

/// How long a client waits for its answer. TCP's own repetition of a lost connection request takes a second, then two.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long one waits for a datagram, before it counts as lost.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(500);

/// The pause after a connection that failed: as long as a refusal takes, more or less.
const REDIAL: Duration = Duration::from_millis(1);

/// Requests a second over connections that stay.
pub(crate) async fn http(address: SocketAddr, connections: usize, window: Window) -> anyhow::Result<Reading> {
    in_one_thread(connections, window, async move || HttpClient::connect(address).await).await
}

/// Whether there is an answer to a request, and to a datagram where there is such a way.
pub(crate) async fn answers(http: SocketAddr, echo: Option<SocketAddr>) -> bool {
    let ask = async {
        HttpClient::open(http).await?;
        match echo {
            Some(echo) => DatagramClient::connect(echo, 1).await?.exchange().await,
            None => Ok(()),
        }
    };
    ask.await.is_ok()
}

/// Datagrams that go and come back, a second: nothing is lost for want of room, as it is in a flood.
pub(crate) async fn round_trips(
    address: SocketAddr,
    clients: usize,
    size: usize,
    window: Window,
) -> anyhow::Result<Reading> {
    in_one_thread(clients, window, async move || DatagramClient::connect(address, size).await).await
}

/// Who asks.
trait Client {
    /// Asks once, and takes the answer.
    async fn exchange(&mut self) -> io::Result<()>;
}

/// A keep-alive connection.
pub(crate) struct HttpClient {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl HttpClient {
    /// Connects, and gets a first answer.
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let mut client = Self::connect(address).await?;
        client.exchange().await?;
        Ok(client)
    }

    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, answer: vec![0; RESPONSE.len()] })
    }
}

impl Client for HttpClient {
    async fn exchange(&mut self) -> io::Result<()> {
        let exchange = async {
            self.stream.write_all(REQUEST).await?;
            self.stream.read_exact(&mut self.answer).await
        };
        timeout(PATIENCE, exchange).await??;
        if self.answer == RESPONSE { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

struct DatagramClient {
    socket: UdpSocket,
    datagram: Vec<u8>,
    answer: Vec<u8>,
}

impl DatagramClient {
    async fn connect(address: SocketAddr, size: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.connect(address).await?;
        Ok(Self { socket, datagram: vec![0x5a; size], answer: vec![0; size] })
    }
}

impl Client for DatagramClient {
    async fn exchange(&mut self) -> io::Result<()> {
        self.socket.send(&self.datagram).await?;
        timeout(DATAGRAM_PATIENCE, self.socket.recv(&mut self.answer)).await??;
        Ok(())
    }
}

/// What one client, or all of them, came back with: how long each answer took, in microseconds, and what failed.
#[derive(Default)]
struct Outcome {
    latencies: Vec<u32>,
    failures: u32,
}

async fn in_one_thread<C: Client + 'static>(
    clients: usize,
    window: Window,
    dial: impl AsyncFn() -> io::Result<C> + Clone + Send + 'static,
) -> anyhow::Result<Reading> {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, measure(clients, window, dial))
    };
    spawn_blocking(work).await.context("a load generator panicked")?
}

async fn measure<C: Client + 'static>(
    clients: usize,
    window: Window,
    dial: impl AsyncFn() -> io::Result<C> + Clone + 'static,
) -> anyhow::Result<Reading> {
    let ready = Arc::new(Barrier::new(clients + 1));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn_local(ask(dial.clone(), Arc::clone(&ready), window));
    }
    ready.wait().await;
    let start = Instant::now() + window.warm_up;
    sleep_until(start).await;
    let cpu = cpu::busy()?;
    sleep_until(start + window.length).await;
    let cpu = cpu::busy()?.saturating_sub(cpu);
    let mut all = Outcome::default();
    while let Some(outcome) = tasks.join_next().await {
        let outcome = outcome.context("a client panicked")?;
        all.latencies.extend(outcome.latencies);
        all.failures += outcome.failures;
    }
    all.latencies.sort_unstable();
    anyhow::ensure!(!all.latencies.is_empty(), "nothing was answered");
    let milliseconds = |per_mille| f64::from(quantile(&all.latencies, per_mille)) / 1e3;
    let count = all.latencies.len() as f64;
    Ok(Reading::from([
        (Quantity::Rate, count / window.length.as_secs_f64()),
        (Quantity::Cpu, cpu.as_secs_f64() * 1e3 / count),
        (Quantity::P50, milliseconds(500)),
        (Quantity::P99, milliseconds(990)),
        (Quantity::P999, milliseconds(999)),
        (Quantity::Failures, f64::from(all.failures)),
    ]))
}

/// Asks until the window is over. The clock starts when every client has had its first answer.
async fn ask<C: Client>(dial: impl AsyncFn() -> io::Result<C>, ready: Arc<Barrier>, window: Window) -> Outcome {
    let mut outcome = Outcome::default();
    let mut client = dial().await.ok();
    if let Some(client) = &mut client {
        outcome.failures += u32::from(client.exchange().await.is_err());
    }
    ready.wait().await;
    let start = Instant::now() + window.warm_up;
    let end = start + window.length;
    while Instant::now() < end {
        let Some(connected) = &mut client else {
            outcome.failures += 1;
            client = dial().await.ok();
            sleep_until(Instant::now() + REDIAL).await;
            continue;
        };
        let asked = Instant::now();
        if connected.exchange().await.is_err() {
            client = None;
        } else if asked >= start && Instant::now() < end {
            let micros = u32::try_from(asked.elapsed().as_micros()).unwrap_or(u32::MAX);
            outcome.latencies.push(micros);
        }
    }
    outcome
}
