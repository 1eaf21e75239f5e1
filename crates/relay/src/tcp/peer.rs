//! One end of a connection.

use tokio::net::TcpStream;

/// A stream whose end is a reset (RST) unless [`Peer::finish`] was called: whatever ends a connection early, an error,
/// a panic or a closed mapping, its other end must not take it for a regular end.
#[derive(Debug)]
pub struct Peer {
    /// The stream.
    pub stream: TcpStream,
    finished: bool,
}

impl Peer {
    /// The end of a new connection.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, finished: false }
    }

    /// Both directions have ended: the stream may close in peace.
    pub fn finish(&mut self) {
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
