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

/// What carries the bytes of a session both ways. Everything is in order, and all but reading is undone by nothing.
pub(super) trait Wire: Send {
    /// Appends to `input` what has come, as much as there is room for at least; nothing once the other side has ended.
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<usize, Loss>>;

    /// Takes from `output`, and tells how much.
    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut Output) -> Poll<Result<usize, Loss>>;

    /// Passes on what was taken.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>>;

    /// Passes on what was taken, and ends.
    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>>;
}
