//! Traffic that runs while something else happens, and what became of it.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::support::LONG;

/// What a flow waits for its last echoes, when it is stopped.
const LAST_ECHOES: Duration = Duration::from_secs(2);

/// How often a flow of connections makes a new one.
const CONNECTION_EVERY: Duration = Duration::from_millis(20);

/// A flow of numbered datagrams, one each millisecond, from one socket to a server that echoes them.
pub(crate) struct Datagrams {
    log: Arc<DatagramLog>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// What was sent, and when its echo came.
#[derive(Default)]
struct DatagramLog {
    entries: Mutex<Vec<Option<Timestamp>>>,
    echoed: Notify,
}

/// What became of the datagrams of a flow.
pub(crate) struct DatagramReport(Vec<Option<Timestamp>>);

impl Datagrams {
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        socket.connect(to).await.unwrap();
        let log = Arc::new(DatagramLog::default());
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(send(socket.clone(), log.clone(), stopped));
        tasks.spawn(receive(socket, log.clone()));
        Self { log, tasks, stop }
    }

    /// Waits until a datagram that is sent from now on has come back.
    pub(crate) async fn works(&self) {
        let from = self.log.entries.lock().unwrap().len();
        self.log
            .until(|entries| entries[from..].iter().any(Option::is_some), LONG)
            .await
            .expect("no datagram came back");
    }

    /// Sends no more, and waits for the echoes that are still under way.
    pub(crate) async fn stop(mut self) -> DatagramReport {
        self.stop.send_replace(true);
        self.tasks.join_next().await.unwrap().unwrap();
        let _ = self.log.until(|entries| entries.iter().all(Option::is_some), LAST_ECHOES).await;
        self.tasks.shutdown().await;
        DatagramReport(self.log.entries.lock().unwrap().clone())
    }
}

impl DatagramLog {
    async fn until(
        &self,
        condition: impl Fn(&[Option<Timestamp>]) -> bool,
        limit: Duration,
    ) -> Result<(), tokio::time::error::Elapsed> {
        let met = async {
            loop {
                let echoed = self.echoed.notified();
                if condition(&self.entries.lock().unwrap()) {
                    return;
                }
                echoed.await;
            }
        };
        timeout(limit, met).await
    }
}

async fn send(socket: Arc<UdpSocket>, log: Arc<DatagramLog>, mut stopped: watch::Receiver<bool>) {
    let mut pace = interval(Duration::from_millis(1));
    // A burst would be another flow.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow_and_update() {
        pace.tick().await;
        let number = {
            let mut entries = log.entries.lock().unwrap();
            entries.push(None);
            entries.len() - 1
        };
        // Refused, where nobody listens for the moment: lost, as it will show.
        let _ = socket.send(&number.to_be_bytes()).await;
    }
}

async fn receive(socket: Arc<UdpSocket>, log: Arc<DatagramLog>) {
    let mut number = [0; size_of::<usize>()];
    loop {
        if socket.recv(&mut number).await.is_ok_and(|length| length == number.len()) {
            log.entries.lock().unwrap()[usize::from_be_bytes(number)].get_or_insert_with(Timestamp::now);
            log.echoed.notify_waiters();
        }
    }
}

impl DatagramReport {
    pub(crate) fn sent(&self) -> usize {
        self.0.len()
    }

    /// The numbers of those that did not come back.
    pub(crate) fn lost(&self) -> Vec<usize> {
        (0..self.0.len()).filter(|&number| self.0[number].is_none()).collect()
    }

    /// The longest time between two echoes in a row.
    pub(crate) fn longest_silence(&self) -> Duration {
        let mut echoed: Vec<_> = self.0.iter().flatten().collect();
        echoed.sort();
        echoed.windows(2).map(|pair| between(*pair[0], *pair[1])).max().unwrap_or_default()
    }

    /// The time from `start` to the first echo that came after it.
    pub(crate) fn first_after(&self, start: Timestamp) -> Duration {
        let first = self.0.iter().flatten().filter(|echoed| **echoed > start).min();
        between(start, *first.expect("no echo after that"))
    }
}

/// A flow of connections, each new, to a server that echoes.
pub(crate) struct Connections {
    task: JoinHandle<JoinSet<Attempt>>,
    stop: watch::Sender<bool>,
    /// When the newest one that succeeded began.
    succeeded: watch::Receiver<Timestamp>,
}

/// One connection, from its first moment to the whole echo.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) began: Timestamp,
    pub(crate) took: Duration,
    pub(crate) outcome: io::Result<()>,
}

/// What became of the connections of a flow, in the order of their beginning.
#[derive(Debug)]
pub(crate) struct ConnectionReport(pub(crate) Vec<Attempt>);

impl Connections {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let (success, succeeded) = watch::channel(Timestamp::MIN);
        let task = tokio::spawn(async move {
            let mut attempts = JoinSet::new();
            let mut pace = interval(CONNECTION_EVERY);
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while !*stopped.borrow_and_update() {
                pace.tick().await;
                let success = success.clone();
                attempts.spawn(async move {
                    let attempt = attempt(to).await;
                    if attempt.outcome.is_ok() {
                        success.send_modify(|newest| *newest = attempt.began.max(*newest));
                    }
                    attempt
                });
            }
            attempts
        });
        Self { task, stop, succeeded }
    }

    /// Waits until a connection that begins from now on has succeeded.
    pub(crate) async fn works(&mut self) {
        let now = Timestamp::now();
        let works = self.succeeded.wait_for(|began| *began > now);
        timeout(LONG, works).await.expect("no connection succeeded").unwrap();
    }

    /// Makes no more, and waits for the end of those that are open.
    pub(crate) async fn stop(self) -> ConnectionReport {
        self.stop.send_replace(true);
        let mut attempts = self.task.await.unwrap().join_all().await;
        attempts.sort_by_key(|attempt| attempt.began);
        ConnectionReport(attempts)
    }
}

/// One connection with one exchange over it.
pub(crate) async fn attempt(to: SocketAddr) -> Attempt {
    let began = Timestamp::now();
    let outcome = timeout(LONG, exchange(to, began.as_nanosecond().to_string().as_bytes())).await;
    let outcome = outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    Attempt { began, took: between(began, Timestamp::now()), outcome }
}

/// Says something over a new connection, and expects to hear just that.
pub(crate) async fn exchange(to: SocketAddr, words: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer == words { Ok(()) } else { Err(io::Error::other(format!("{} bytes of {}", answer.len(), words.len()))) }
}

impl ConnectionReport {
    pub(crate) fn failures(&self) -> Vec<&Attempt> {
        self.0.iter().filter(|attempt| attempt.outcome.is_err()).collect()
    }

    /// Those that began after this.
    pub(crate) fn since(&self, start: Timestamp) -> impl Iterator<Item = &Attempt> {
        self.0.iter().filter(move |attempt| attempt.began > start)
    }

    /// The time from `start` to the end of the first success after it.
    pub(crate) fn first_after(&self, start: Timestamp) -> Duration {
        let ends = self.0.iter().filter(|attempt| attempt.outcome.is_ok()).map(|attempt| attempt.began + attempt.took);
        between(start, ends.filter(|end| *end > start).min().expect("no success after that"))
    }

    /// The time from `start` to the end of the first success that began after the last failure; none if none failed.
    pub(crate) fn outage(&self, start: Timestamp) -> Duration {
        let Some(last) = self.failures().last().map(|attempt| attempt.began) else { return Duration::ZERO };
        let ends =
            self.since(last).filter(|attempt| attempt.outcome.is_ok()).map(|attempt| attempt.began + attempt.took);
        between(start, ends.min().expect("no success after the last failure"))
    }

    /// What the slowest one took.
    pub(crate) fn slowest(&self) -> Duration {
        self.0.iter().map(|attempt| attempt.took).max().unwrap_or_default()
    }
}

fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

/// A download of the peer's pseudo-random bytes, each of which is checked.
pub(crate) struct Download {
    task: JoinHandle<u64>,
    received: watch::Receiver<u64>,
    hurry: watch::Sender<bool>,
}

/// The pace of a download that is not in a hurry: this many bytes each [`PIECE_EVERY`].
const PIECE: usize = 128 << 10;
const PIECE_EVERY: Duration = Duration::from_millis(5);

impl Download {
    /// Asks for `length` bytes, and ends its own side of the connection. It takes its time until [`Self::finish`].
    pub(crate) async fn start(from: SocketAddr, length: u64) -> Self {
        let mut stream = TcpStream::connect(from).await.unwrap();
        stream.write_all(format!("{length}\n").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let (progress, received) = watch::channel(0);
        let (hurry, hurried) = watch::channel(false);
        Self { task: tokio::spawn(read(stream, progress, hurried)), received, hurry }
    }

    /// Waits until this many bytes have arrived.
    pub(crate) async fn reaches(&mut self, bytes: u64) {
        timeout(LONG, self.received.wait_for(|received| *received >= bytes)).await.unwrap().unwrap();
    }

    /// Ends it where it is.
    pub(crate) async fn abandon(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|end| end.is_cancelled()), "the download was over");
    }

    /// Reads on as fast as it can.
    pub(crate) fn hurry(&self) {
        self.hurry.send_replace(true);
    }

    /// How many bytes have arrived.
    pub(crate) fn received(&self) -> u64 {
        *self.received.borrow()
    }

    /// Reads on as fast as it can. Returns how many bytes there were in all.
    pub(crate) async fn finish(self) -> u64 {
        self.hurry.send_replace(true);
        timeout(LONG * 3, self.task).await.unwrap().unwrap()
    }
}

async fn read(mut stream: TcpStream, progress: watch::Sender<u64>, hurried: watch::Receiver<bool>) -> u64 {
    let mut pace = interval(PIECE_EVERY);
    let mut piece = vec![0; PIECE];
    let mut state = 1u64;
    loop {
        if !*hurried.borrow() {
            pace.tick().await;
        }
        let length = stream.read(&mut piece).await.unwrap();
        if length == 0 {
            return *progress.borrow();
        }
        for byte in &piece[..length] {
            // The peer's sequence.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            assert_eq!(*byte, state.to_be_bytes()[0], "after {} bytes", *progress.borrow());
        }
        progress.send_modify(|received| *received += length as u64);
    }
}

/// Numbers as short as can be: `3, 7-9`.
pub(crate) fn ranges(numbers: &[usize]) -> String {
    let numbers: BTreeSet<_> = numbers.iter().collect();
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown =
        ranges.iter().map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") });
    shown.collect::<Vec<_>>().join(", ")
}
