//! The connection itself.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use portgate_spdy::Output;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

use super::Wire;
use crate::forward::error::Loss;

/// A session's bytes as they are.
pub(in crate::forward) struct Plain<C>(pub(in crate::forward) C);

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Wire for Plain<C> {
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<usize, Loss>> {
        poll_read_buf(Pin::new(&mut self.0), context, input).map_err(Loss::Io)
    }

    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut Output) -> Poll<Result<usize, Loss>> {
        poll_write_buf(Pin::new(&mut self.0), context, output).map_err(Loss::Io)
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        Pin::new(&mut self.0).poll_flush(context).map_err(Loss::Io)
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        Pin::new(&mut self.0).poll_shutdown(context).map_err(Loss::Io)
    }
}
