//! The bytes of a session on their connection.

mod plain;
mod tunnel;

use std::task::{Context, Poll};

use bytes::BytesMut;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use portgate_spdy::Output;

pub(super) use plain::Plain;
pub(super) use tunnel::{Tunnel, websocket};

use super::error::Loss;

/// A connection that was upgraded.
pub(super) type Connection = TokioIo<Upgraded>;

/// What carries the bytes of a session both ways, in order.
pub(super) trait Wire: Send {
    /// Appends to `input` what has come, and tells how much: nothing once the other side has ended.
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<usize, Loss>>;

    /// Takes from `output`, which is not empty, and tells how much.
    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut Output) -> Poll<Result<usize, Loss>>;

    /// Passes on what was taken.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>>;

    /// Passes on what was taken, and ends.
    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>>;
}

/// How much was moved between a session and its connection, in bytes.
pub(super) struct Moved {
    pub(super) written: usize,
    pub(super) read: Option<usize>,
}

/// Moves what can be moved: writes from `output`, and reads into `input`, if it is given, with this much room.
pub(super) fn step(
    context: &mut Context<'_>,
    wire: &mut dyn Wire,
    output: &mut Output,
    input: Option<&mut BytesMut>,
    room: usize,
) -> Poll<Result<Moved, Loss>> {
    let mut moved = Moved { written: 0, read: None };
    while !output.is_empty() {
        match wire.poll_write(context, output)? {
            Poll::Ready(0) => return Poll::Ready(Err(Loss::Ended)),
            Poll::Ready(count) => moved.written += count,
            Poll::Pending => break,
        }
    }
    let _ = wire.poll_flush(context)?;
    if let Some(input) = input {
        if input.capacity() - input.len() < room / 4 {
            input.reserve(room);
        }
        if let Poll::Ready(count) = wire.poll_read(context, input)? {
            moved.read = Some(count);
        }
    }
    if moved.written > 0 || moved.read.is_some() { Poll::Ready(Ok(moved)) } else { Poll::Pending }
}
