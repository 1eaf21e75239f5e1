//! As much as goes through: bytes of TCP, datagrams of UDP, connections. Threads that block, with large buffers.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::crew::{Crew, Orders};
use super::{Direction, Seen, Window, dial, watch};
use crate::results::{Quantity, Reading};
use crate::server::{Meter, Sample};
use crate::service::CHUNK;

/// How many clients connect at the same time, again and again.
const CONNECTING: usize = 8;

/// Time for the last datagrams to arrive: the node's count must not change for so long.
const SETTLED: Duration = Duration::from_millis(100);

/// How often that is looked at, at most.
const LOOKS: usize = 20;

/// Bytes a second through some connections to a sink, or from a source.
pub(crate) async fn throughput(
    address: SocketAddr,
    direction: Direction,
    streams: usize,
    window: Window,
    meter: &mut Meter,
) -> anyhow::Result<Reading> {
    let seen = match direction {
        Direction::Up => {
            let crew = Crew::start(streams, move |orders| push(address, orders));
            let seen = watch(window, async || meter.sample().await).await;
            crew.dismiss().await?;
            seen?
        }
        Direction::Down => {
            let tally = Tally::new();
            let taken = Arc::clone(&tally.count);
            let crew = Crew::start(streams, move |orders| pull(address, &taken, orders));
            let seen = watch(window, async || Ok(Sample { bytes: tally.count(), ..tally.sample() })).await;
            crew.dismiss().await?;
            seen?
        }
    };
    Ok(of_bytes(&seen))
}

/// The rate in Gbit/s, and the processors' time for a gigabyte.
fn of_bytes(seen: &Seen) -> Reading {
    let gigabytes = seen.bytes as f64 / 1e9;
    Reading::from([
        (Quantity::Rate, gigabytes * 8.0 / seen.elapsed.as_secs_f64()),
        (Quantity::Cpu, seen.cpu.as_secs_f64() / gigabytes),
    ])
}

/// Datagrams a second that arrive at the node, of as many as one client can send, and the part that is lost.
pub(crate) async fn datagrams(
    address: SocketAddr,
    size: usize,
    window: Window,
    meter: &mut Meter,
) -> anyhow::Result<Reading> {
    let before = meter.sample().await?.datagrams;
    let crew = Crew::start(1, move |orders| flood(address, size, orders));
    let seen = watch(window, async || meter.sample().await).await;
    let sent: u64 = crew.dismiss().await?.into_iter().sum();
    let mut received = meter.sample().await?.datagrams;
    for _ in 0..LOOKS {
        sleep(SETTLED).await;
        let now = meter.sample().await?.datagrams;
        if std::mem::replace(&mut received, now) == now {
            break;
        }
    }
    let arrived = (received - before) as f64 / sent.max(1) as f64;
    let mut reading = per_second(&seen?);
    reading.insert(Quantity::Loss, (1.0 - arrived).max(0.0));
    Ok(reading)
}

/// Connections a second: connect, one byte there, one byte back, close.
pub(crate) async fn connections(address: SocketAddr, window: Window) -> anyhow::Result<Reading> {
    connecting(window, move || ping(address)).await
}

/// The same to an echo, which does not close by itself.
pub(crate) async fn echoed_connections(address: SocketAddr, window: Window) -> anyhow::Result<Reading> {
    connecting(window, move || touch(address)).await
}

async fn connecting(
    window: Window,
    connect: impl Fn() -> io::Result<()> + Clone + Send + 'static,
) -> anyhow::Result<Reading> {
    let (tally, failures) = (Tally::new(), Tally::new());
    let (done, failed) = (Arc::clone(&tally.count), Arc::clone(&failures.count));
    let crew = Crew::start(CONNECTING, move |orders| {
        while orders.go_on() {
            let count = if connect().is_ok() { &done } else { &failed };
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    });
    let seen = watch(window, async || Ok(Sample { datagrams: tally.count(), ..tally.sample() })).await;
    crew.dismiss().await?;
    let mut reading = per_second(&seen?);
    reading.insert(Quantity::Failures, failures.count() as f64);
    Ok(reading)
}

/// Bytes a second that come back from an echo, through one connection.
pub(crate) async fn echo(address: SocketAddr, window: Window) -> anyhow::Result<Reading> {
    let tally = Tally::new();
    let taken = Arc::clone(&tally.count);
    let crew = Crew::start(1, move |orders| shout(address, &taken, orders));
    let seen = watch(window, async || Ok(Sample { bytes: tally.count(), ..tally.sample() })).await;
    crew.dismiss().await?;
    Ok(of_bytes(&seen?))
}

/// Whether a byte comes back.
pub(crate) async fn echoes(address: SocketAddr) -> bool {
    tokio::task::spawn_blocking(move || touch(address).is_ok()).await.unwrap_or_default()
}

/// The rate of what is counted one by one, and the processors' time for a thousand of them.
fn per_second(seen: &Seen) -> Reading {
    let count = seen.datagrams as f64;
    Reading::from([
        (Quantity::Rate, count / seen.elapsed.as_secs_f64()),
        (Quantity::Cpu, seen.cpu.as_secs_f64() * 1e3 / count),
    ])
}

/// A count on this side, with a clock.
struct Tally {
    start: Instant,
    count: Arc<AtomicU64>,
}

impl Tally {
    fn new() -> Self {
        Self { start: Instant::now(), count: Arc::default() }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn sample(&self) -> Sample {
        Sample { at: self.start.elapsed(), ..Sample::default() }
    }
}

fn push(address: SocketAddr, orders: &Orders) -> io::Result<()> {
    write_on(&dial::tcp(address)?, orders)
}

fn write_on(mut stream: &TcpStream, orders: &Orders) -> io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    while orders.go_on() {
        match stream.write(&chunk) {
            Err(error) if !dial::timed_out(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn pull(address: SocketAddr, taken: &AtomicU64, orders: &Orders) -> io::Result<()> {
    read_on(&dial::tcp(address)?, taken, orders)
}

fn read_on(mut stream: &TcpStream, taken: &AtomicU64, orders: &Orders) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    while orders.go_on() {
        match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                taken.fetch_add(length as u64, Ordering::Relaxed);
            }
            Err(error) if dial::timed_out(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends without pause, and returns how many datagrams the kernel took.
fn flood(address: SocketAddr, size: usize, orders: &Orders) -> io::Result<u64> {
    let socket = dial::udp(address)?;
    let datagram = vec![0x5a; size];
    let mut sent = 0;
    while orders.go_on() {
        // A refusal is an earlier datagram's. This one was not sent.
        if socket.send(&datagram).is_ok() {
            sent += 1;
        }
    }
    Ok(sent)
}

/// Sends without pause, and takes what comes back.
fn shout(address: SocketAddr, taken: &AtomicU64, orders: &Orders) -> io::Result<()> {
    let stream = dial::tcp(address)?;
    thread::scope(|scope| {
        let sent = scope.spawn(|| write_on(&stream, orders));
        let received = read_on(&stream, taken, orders);
        sent.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).and(received)
    })
}

fn touch(address: SocketAddr) -> io::Result<()> {
    let mut stream = dial::tcp(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"?")?;
    let mut answer = [0];
    stream.read_exact(&mut answer)?;
    if answer == *b"?" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

fn ping(address: SocketAddr) -> io::Result<()> {
    let mut stream = dial::tcp(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"?")?;
    let mut answer = Vec::with_capacity(2);
    stream.read_to_end(&mut answer)?;
    if answer == b"?" { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
