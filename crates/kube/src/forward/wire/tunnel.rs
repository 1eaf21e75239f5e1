//! A WebSocket in the connection: its binary messages, one after another, are the session's bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use futures_util::{Sink, Stream};
use portgate_core::limits::WEBSOCKET_MESSAGE;
use portgate_spdy::Output;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::Wire;
use crate::forward::error::Loss;

/// How much is read at once, and how much may wait to be written, in bytes.
const BUFFER: usize = 32 * 1024;

/// A session's bytes in a WebSocket.
pub(in crate::forward) struct Tunnel<C>(WebSocketStream<C>);

/// The client's end of a WebSocket, whose handshake is done.
pub(in crate::forward) async fn websocket<C: AsyncRead + AsyncWrite + Unpin>(connection: C) -> WebSocketStream<C> {
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(WEBSOCKET_MESSAGE.most))
        .max_frame_size(Some(WEBSOCKET_MESSAGE.most));
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use futures_util::{SinkExt as _, StreamExt as _};
    use portgate_spdy::{Event, Headers, Limits, Session};
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    use super::*;

    /// A tunnel and its other end, with a pipe between that is so short that nothing comes whole.
    async fn tunnel() -> (Tunnel<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = duplex(7);
        (Tunnel::new(near).await, WebSocketStream::from_raw_socket(far, Role::Server, None).await)
    }

    #[tokio::test]
    async fn what_comes_is_the_same_however_it_was_cut_into_messages_and_frames() {
        let (mut tunnel, mut server) = tunnel().await;
        let said: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let frame = |bytes: &[u8], opcode, is_last| {
            Message::Frame(Frame::message(Bytes::copy_from_slice(bytes), OpCode::Data(opcode), is_last))
        };
        let sending = async {
            server.send(Message::binary(said[..1].to_vec())).await.unwrap();
            server.send(Message::binary(Vec::new())).await.unwrap();
            server.send(Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
            server.send(frame(&said[1..300], Data::Binary, false)).await.unwrap();
            server.send(frame(&said[300..301], Data::Continue, true)).await.unwrap();
            server.send(Message::binary(said[301..].to_vec())).await.unwrap();
            server.send(Message::Close(None)).await.unwrap();
        };
        let receiving = async {
            let mut input = BytesMut::new();
            while poll_fn(|context| tunnel.poll_read(context, &mut input)).await.unwrap() > 0 {}
            input
        };
        let ((), heard) = tokio::join!(sending, receiving);
        assert_eq!(heard, said);
    }

    #[tokio::test]
    async fn every_write_is_binary_and_in_order() {
        let (mut tunnel, mut server) = tunnel().await;
        let mut spdy = Session::client(Limits::default());
        let stream = spdy.open(&Headers::from([("port", "80")]), false).unwrap();
        spdy.send(stream, Bytes::from(vec![7; 5000]), true).unwrap();
        let sending = async {
            while !spdy.output().is_empty() {
                poll_fn(|context| tunnel.poll_write(context, spdy.output())).await.unwrap();
            }
            poll_fn(|context| tunnel.poll_close(context)).await.unwrap();
        };
        let receiving = async {
            let (mut input, mut events) = (BytesMut::new(), Vec::new());
            let mut spdy = Session::server(Limits::default());
            while let Message::Binary(bytes) = server.next().await.unwrap().unwrap() {
                input.extend_from_slice(&bytes);
                while let Some(event) = spdy.receive(&mut input).unwrap() {
                    events.push(event);
                }
            }
            events
        };
        let ((), events) = tokio::join!(sending, receiving);
        assert!(matches!(&events[0], Event::Opened { headers, .. } if headers.get("port") == Some(b"80")));
        let data = events[1..].iter().map(|event| match event {
            Event::Data { bytes, .. } => bytes.len(),
            event => panic!("{event:?}"),
        });
        assert_eq!(data.sum::<usize>(), 5000);
    }

    #[tokio::test]
    async fn a_message_that_is_far_too_long_is_an_error() {
        let (mut tunnel, mut server) = tunnel().await;
        let receiving = async {
            let mut input = BytesMut::new();
            poll_fn(|context| tunnel.poll_read(context, &mut input)).await
        };
        tokio::select! {
            error = receiving => assert!(matches!(error, Err(Loss::WebSocket(_)))),
            _ = server.send(Message::binary(vec![7; WEBSOCKET_MESSAGE.most + 1])) => panic!("it was taken"),
        }
    }
}
