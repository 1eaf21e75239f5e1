//! The buffers and pipes that connections borrow while they have bytes to move.

use super::pipe::Pipe;
use crate::pool::Pool;

/// The size of a buffer, in bytes: one record of TLS, the largest frame of HTTP/2 by default. What fits is copied, which
/// for small messages takes fewer system calls than a pipe.
pub(super) const BUFFER: usize = 16 << 10;

/// Buffers kept for the next connection that is ready: 1 MiB.
const SPARE_BUFFERS: usize = 64;

/// Pipes kept for the next connection that is ready. Empty ones hold no pages, but two file descriptors each.
const SPARE_PIPES: usize = 64;

/// A relay's stock of buffers and pipes. A connection holds one only while the far end does not take its bytes, so that
/// idle connections hold none.
#[derive(Debug)]
pub(crate) struct Supplies {
    buffers: Pool<Box<[u8]>>,
    pipes: Pool<Pipe>,
}

impl Supplies {
    pub(crate) const fn new() -> Self {
        Self { buffers: Pool::new(SPARE_BUFFERS), pipes: Pool::new(SPARE_PIPES) }
    }

    /// A buffer of [`BUFFER`] bytes.
    pub(super) fn buffer(&self) -> Box<[u8]> {
        self.buffers.take().unwrap_or_else(|| vec![0; BUFFER].into())
    }

    /// Takes a buffer back.
    pub(super) fn put_buffer(&self, buffer: Box<[u8]>) {
        self.buffers.put(buffer);
    }

    /// An empty pipe; `None` where there are none, and while file descriptors or the user's quota of pipes run short.
    pub(super) fn pipe(&self) -> Option<Pipe> {
        self.pipes.take().or_else(|| Pipe::new().ok())
    }

    /// Takes a pipe back, which must be empty.
    pub(super) fn put_pipe(&self, pipe: Pipe) {
        self.pipes.put(pipe);
    }
}
