//! The bytes of a session: as they are, or in a WebSocket.

use std::io;

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt as _};
use tokio::sync::mpsc;
use tokio_util::codec::{Decoder, Encoder};

use super::websocket::WebSocketCodec;

/// How many messages may wait to be written.
pub(crate) const OUTBOX: usize = 4;

/// A WebSocket's message; or bytes, which are then binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Binary(Bytes),
    Text(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// The last one.
    Close,
}

/// Turns bytes into messages, and messages into bytes.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain,
    WebSocket(WebSocketCodec),
}

impl Decoder for Wire {
    type Item = Message;
    type Error = io::Error;

    fn decode(&mut self, bytes: &mut BytesMut) -> io::Result<Option<Message>> {
        match self {
            Self::Plain if bytes.is_empty() => Ok(None),
            Self::Plain => Ok(Some(Message::Binary(bytes.split().freeze()))),
            Self::WebSocket(codec) => codec.decode(bytes),
        }
    }
}

impl Encoder<Message> for Wire {
    type Error = io::Error;

    fn encode(&mut self, message: Message, bytes: &mut BytesMut) -> io::Result<()> {
        match (self, message) {
            (Self::Plain, Message::Binary(payload)) => {
                bytes.extend_from_slice(&payload);
                Ok(())
            }
            (Self::Plain, _) => Ok(()),
            (Self::WebSocket(codec), message) => codec.encode(message, bytes),
        }
    }
}

/// Writes what comes until a last message, or until nobody reads any more.
pub(crate) async fn write(
    mut sink: impl Sink<Message, Error = io::Error> + Unpin,
    mut outbox: mpsc::Receiver<Message>,
) {
    while let Some(message) = outbox.recv().await {
        let last = message == Message::Close;
        if sink.send(message).await.is_err() {
            return;
        }
        if last {
            break;
        }
    }
    let _ = sink.close().await;
}
