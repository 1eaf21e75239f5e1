//! Port-forwards in the channels of a WebSocket: two for each port, data at `2i` and error at `2i + 1`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::codec::Framed;

use super::lane::{Lane, Piece};
use super::runtime::Runtime;
use super::websocket::WebSocketCodec;
use super::wire::{self, Message, OUTBOX, Wire};

/// Carries the ports until the client leaves, or all their connections have ended.
pub(crate) async fn run<I>(connection: I, runtime: Runtime, ports: &[u16], base64: bool)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let (sink, incoming) = Framed::new(connection, Wire::WebSocket(WebSocketCodec::default())).split();
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let (session, pieces) = mpsc::channel(1);
    let mut forwards = JoinSet::new();
    let mut inboxes = Vec::new();
    for (number, port) in (0..).step_by(2).zip(ports.iter().copied()) {
        let (inbox, received) = mpsc::channel(1);
        inboxes.push(inbox);
        let (runtime, data) = (runtime.clone(), Lane { number, session: session.clone() });
        let error = Lane { number: number + 1, session: session.clone() };
        forwards.spawn(async move {
            let port_bytes = port.to_le_bytes().to_vec();
            data.send(port_bytes.clone()).await;
            error.send(port_bytes).await;
            runtime.forward(port, received, std::future::pending(), data, error).await;
        });
    }
    drop(session);
    tokio::select! {
        () = read(incoming, inboxes, base64, outbox.clone()) => {}
        () = send(pieces, base64, outbox) => {}
        () = wire::write(sink, messages) => {}
    }
}

/// Hands out what comes, until the client closes.
async fn read(
    mut incoming: impl Stream<Item = std::io::Result<Message>> + Unpin,
    inboxes: Vec<mpsc::Sender<Bytes>>,
    base64: bool,
    outbox: mpsc::Sender<Message>,
) {
    while let Some(Ok(message)) = incoming.next().await {
        let mut payload = match message {
            Message::Binary(payload) | Message::Text(payload) if !payload.is_empty() => payload,
            Message::Ping(payload) => {
                let _ = outbox.send(Message::Pong(payload)).await;
                continue;
            }
            Message::Close => return close(&outbox).await,
            _ => continue,
        };
        let channel = payload.split_to(1)[0].wrapping_sub(if base64 { b'0' } else { 0 });
        let payload = if base64 { STANDARD.decode(&payload).map(Bytes::from) } else { Ok(payload) };
        // What is sent on an error channel, or to no channel at all, is passed over.
        if let (Some(inbox), 0, Ok(payload)) = (inboxes.get(usize::from(channel / 2)), channel % 2, payload) {
            let _ = inbox.send(payload).await;
        }
    }
}

/// Sends what the pods have to say, and closes when they have said all. A channel cannot end before the others.
async fn send(mut pieces: mpsc::Receiver<Piece>, base64: bool, outbox: mpsc::Sender<Message>) {
    while let Some(Piece { lane, bytes }) = pieces.recv().await {
        let (Some(bytes), Ok(channel)) = (bytes, u8::try_from(lane)) else { continue };
        let message = if base64 {
            Message::Text(format!("{}{}", char::from(b'0'.wrapping_add(channel)), STANDARD.encode(bytes)).into())
        } else {
            let mut message = BytesMut::with_capacity(1 + bytes.len());
            message.put_u8(channel);
            message.put(bytes);
            Message::Binary(message.freeze())
        };
        let _ = outbox.send(message).await;
    }
    close(&outbox).await;
}

/// Closes, and waits until that is written.
async fn close(outbox: &mpsc::Sender<Message>) {
    let _ = outbox.send(Message::Close).await;
    outbox.closed().await;
}
