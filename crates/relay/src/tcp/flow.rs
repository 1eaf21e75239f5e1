//! One direction of a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::pipe::Pipe;
use super::supplies::{BUFFER, Supplies};
use crate::tally::Count;

/// Bytes that a flow moves before it lets other connections run: some hundred microseconds' worth.
const TURN: usize = 1 << 20;

/// Carries bytes from one stream to another until the first has ended, then ends the second.
///
/// A message that fits a buffer is read and written: two system calls. When a read fills the buffer, more is on its way,
/// and the flow changes to `splice(2)` until it moves less at a time.
#[derive(Debug, Default)]
pub(super) struct Flow {
    stage: Stage,
    /// Whether the last transfer was at least a buffer's worth, and so the next one is spliced.
    bulk: bool,
    held: Option<Held>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Bytes may come.
    #[default]
    Open,
    /// All has been passed on, and so has the end.
    Ended,
    /// The receiver takes no more, or the sender has not ended but vanished: the connection was reset.
    Broken,
}

/// Bytes that were taken from one stream and not yet given to the other.
#[derive(Debug)]
enum Held {
    Buffer { buffer: Box<[u8]>, start: usize, end: usize },
    Pipe { pipe: Pipe, bytes: usize },
}

impl Flow {
    /// Carries what can be carried now. Ready when this direction is over, however it came; fails if `from` does.
    ///
    /// A failure of `to` breaks this direction only: what `to` said before it failed may still be on its way in the other
    /// one. That one then finds an end which is none, since the kernel reports a reset once only. So if `from` has broken
    /// the opposite direction, its end is not passed on.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        to: &mut TcpStream,
        opposite_broken: bool,
        supplies: &Supplies,
        count: &Count,
    ) -> Poll<io::Result<()>> {
        let mut moved = 0;
        while self.stage == Stage::Open {
            if self.held.is_some() {
                match ready!(self.poll_give(cx, to, supplies)) {
                    Ok(bytes) => count.add(bytes as u64),
                    Err(_) => self.stage = Stage::Broken,
                }
            } else if moved >= TURN {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            } else {
                let bytes = ready!(self.poll_take(cx, from, supplies))?;
                if bytes == 0 {
                    let ended = !opposite_broken && ready!(Pin::new(&mut *to).poll_shutdown(cx)).is_ok();
                    self.stage = if ended { Stage::Ended } else { Stage::Broken };
                }
                self.bulk = bytes >= BUFFER;
                moved += bytes;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether all has been passed on, and so has the end.
    pub(super) fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether the receiver takes no more.
    pub(super) fn is_broken(&self) -> bool {
        self.stage == Stage::Broken
    }

    /// Takes bytes from `from`, and holds them; 0 at its end.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut TcpStream,
        supplies: &Supplies,
    ) -> Poll<io::Result<usize>> {
        ready!(from.poll_read_ready(cx))?;
        if self.bulk
            && let Some(pipe) = supplies.pipe()
        {
            return self.poll_splice(cx, from, pipe, supplies);
        }
        let mut buffer = supplies.buffer();
        let mut read = ReadBuf::new(&mut buffer);
        let outcome = Pin::new(from).poll_read(cx, &mut read);
        let bytes = read.filled().len();
        if bytes > 0 {
            self.held = Some(Held::Buffer { buffer, start: 0, end: bytes });
        } else {
            supplies.put_buffer(buffer);
        }
        outcome.map_ok(|()| bytes)
    }

    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
        pipe: Pipe,
        supplies: &Supplies,
    ) -> Poll<io::Result<usize>> {
        loop {
            match from.try_io(Interest::READABLE, || pipe.fill(from)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if from.poll_read_ready(cx)?.is_pending() {
                        supplies.put_pipe(pipe);
                        return Poll::Pending;
                    }
                }
                Ok(bytes) if bytes > 0 => {
                    self.held = Some(Held::Pipe { pipe, bytes });
                    return Poll::Ready(Ok(bytes));
                }
                outcome => {
                    supplies.put_pipe(pipe);
                    return Poll::Ready(outcome);
                }
            }
        }
    }

    /// Gives held bytes to `to`, and what held them back to the supplies once it is empty.
    fn poll_give(&mut self, cx: &mut Context<'_>, to: &mut TcpStream, supplies: &Supplies) -> Poll<io::Result<usize>> {
        match self.held.take() {
            None => Poll::Ready(Ok(0)),
            Some(Held::Buffer { buffer, start, end }) => {
                let outcome = Pin::new(to).poll_write(cx, &buffer[start..end]);
                let start = start + given(&outcome);
                if start < end {
                    self.held = Some(Held::Buffer { buffer, start, end });
                } else {
                    supplies.put_buffer(buffer);
                }
                outcome
            }
            Some(Held::Pipe { pipe, bytes }) => {
                let outcome = poll_drain(cx, to, &pipe, bytes);
                let bytes = bytes - given(&outcome);
                if bytes > 0 {
                    self.held = Some(Held::Pipe { pipe, bytes });
                } else {
                    supplies.put_pipe(pipe);
                }
                outcome
            }
        }
    }
}

fn poll_drain(cx: &mut Context<'_>, to: &TcpStream, pipe: &Pipe, held: usize) -> Poll<io::Result<usize>> {
    loop {
        ready!(to.poll_write_ready(cx))?;
        match to.try_io(Interest::WRITABLE, || pipe.drain(to, held)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return Poll::Ready(outcome),
        }
    }
}

fn given(outcome: &Poll<io::Result<usize>>) -> usize {
    match outcome {
        Poll::Ready(Ok(bytes)) => *bytes,
        _ => 0,
    }
}
