//! A WebSocket in the connection: its binary messages, one after another, are the session's bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::{Sink, Stream};
use portgate_spdy::Output;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Wire;
use crate::forward::error::Loss;

/// How much is read at once, and how much may wait to be written, in bytes.
const BUFFER: usize = 32 * 1024;

/// The longest message that is taken, in bytes. The API server sends up to 32 KiB.
const MESSAGE: usize = 1024 * 1024;

/// A session's bytes in a WebSocket.
pub(in crate::forward) struct Tunnel<C>(WebSocketStream<C>);

/// The client's end of a WebSocket, whose handshake is done.
pub(in crate::forward) async fn websocket<C: AsyncRead + AsyncWrite + Unpin>(connection: C) -> WebSocketStream<C> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE));
    WebSocketStream::from_raw_socket(connection, Role::Client, Some(config)).await
}

impl<C: AsyncRead + AsyncWrite + Unpin> Tunnel<C> {
    pub(in crate::forward) async fn new(connection: C) -> Self {
        Self(websocket(connection).await)
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Wire for Tunnel<C> {
    fn poll_read(&mut self, context: &mut Context<'_>, input: &mut BytesMut) -> Poll<Result<usize, Loss>> {
        loop {
            match ready!(Pin::new(&mut self.0).poll_next(context)).transpose()? {
                Some(Message::Binary(bytes)) if !bytes.is_empty() => {
                    input.extend_from_slice(&bytes);
                    return Poll::Ready(Ok(bytes.len()));
                }
                Some(Message::Close(_)) | None => return Poll::Ready(Ok(0)),
                // Pings are answered below this.
                Some(_) => {}
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, output: &mut Output) -> Poll<Result<usize, Loss>> {
        ready!(Pin::new(&mut self.0).poll_ready(context))?;
        let Some(bytes) = output.pop() else { return Poll::Ready(Ok(0)) };
        let length = bytes.len();
        Pin::new(&mut self.0).start_send(Message::Binary(bytes))?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        Ok(ready!(Pin::new(&mut self.0).poll_flush(context))?).into()
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Loss>> {
        Ok(ready!(Pin::new(&mut self.0).poll_close(context))?).into()
    }
}
