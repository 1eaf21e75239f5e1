//! A fast flow of datagrams that loses none by itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many datagrams are sent each second.
const RATE: f64 = 20_000.0;

/// How many may be under way, with their echoes: half as many as a socket's buffer of Linux's usual size holds (193 were
/// counted in 212,992 bytes), so that no buffer overflows however late its reader is.
const WINDOW: u64 = 96;

/// A datagram without an echo for so long is lost.
const LOST: Duration = Duration::from_secs(2);

/// A flow of numbered datagrams to a server that echoes them, from a thread of its own.
pub(crate) struct Stream {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<StreamReport>,
}

/// What became of a flow.
#[derive(Debug, Default)]
pub(crate) struct StreamReport {
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// Datagrams each second, on average.
    pub(crate) rate: u64,
    /// The longest time without an echo.
    pub(crate) longest_silence: Duration,
    /// Sends that were refused.
    pub(crate) errors: Vec<io::Error>,
}

impl Stream {
    pub(crate) fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        Self { stop, thread: std::thread::spawn(move || run(to, &stopped)) }
    }

    /// Sends no more, waits for the echoes that are under way, and reports.
    pub(crate) fn stop(self) -> StreamReport {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn run(to: SocketAddr, stopped: &AtomicBool) -> StreamReport {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect(to).unwrap();
    socket.set_nonblocking(true).unwrap();
    let (start, mut report, mut echoed) = (Instant::now(), StreamReport::default(), 0);
    let mut last_echo = start;
    loop {
        let mut number = [0; 8];
        while let Ok(length) = socket.recv(&mut number) {
            assert!(length == 8 && u64::from_be_bytes(number) < report.sent);
            echoed += 1;
            report.longest_silence = report.longest_silence.max(last_echo.elapsed());
            last_echo = Instant::now();
        }
        let under_way = report.sent - echoed - report.lost;
        if under_way > 0 && last_echo.elapsed() > LOST {
            report.lost += under_way;
        } else if stopped.load(Ordering::Relaxed) && under_way == 0 {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let rate = (report.sent as f64 / start.elapsed().as_secs_f64()) as u64;
            return StreamReport { rate, ..report };
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let due = (start.elapsed().as_secs_f64() * RATE) as u64;
        while !stopped.load(Ordering::Relaxed) && report.sent < due && report.sent - echoed - report.lost < WINDOW {
            if let Err(error) = socket.send(&report.sent.to_be_bytes()) {
                report.errors.push(error);
            }
            report.sent += 1;
        }
        std::thread::park_timeout(Duration::from_micros(100));
    }
}
