//! One end of a connection.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// A silent connection is asked after this time whether it still exists.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// It is asked again at this interval,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// and given up after this many questions without an answer: two minutes after its last sign of life.
#[cfg(not(windows))]
const KEEPALIVE_PROBES: u32 = 4;

/// A stream whose end is a reset (RST) unless [`Peer::finish`] was called: whatever ends a connection early, an error,
/// a panic or a closed mapping, its other end must not take it for a regular end.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    finished: bool,
}

impl Peer {
    /// Takes a connected stream: sends small messages at once, and finds out if the other end vanishes.
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        let peer = Self { stream, finished: false };
        peer.stream.set_nodelay(true)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
        #[cfg(not(windows))]
        let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
        SockRef::from(&peer.stream).set_tcp_keepalive(&keepalive)?;
        Ok(peer)
    }

    /// Both directions have ended: the stream may close in peace.
    pub(super) fn finish(&mut self) {
        self.finished = true;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.finished {
            // Fails only where the other end has reset the connection itself.
            let _ = self.stream.set_zero_linger();
        }
    }
}
