//! Port-forwards in the streams of a SPDY session: an error and a data stream for each connection.

mod pairs;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt as _};
use portgate_spdy::{Event, Headers, Limits, Session, Status, StreamId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_util::codec::Framed;

use super::lane::Piece;
use super::runtime::{PIECE, Runtime};
use super::websocket::WebSocketCodec;
use super::wire::{self, Message, OUTBOX, Wire};

use pairs::{Pairs, Purpose};

/// How many bytes may wait to be written before the pods are not read any more.
const SEND_BUFFER: usize = 2 * PIECE;

/// Carries the streams that the client opens, until it leaves.
pub(crate) async fn run<I>(connection: I, runtime: Runtime, websocket: bool)
where
    I: AsyncRead + AsyncWrite + Unpin,
{
    let wire = if websocket { Wire::WebSocket(WebSocketCodec::default()) } else { Wire::Plain };
    let (sink, incoming) = Framed::new(connection, wire).split();
    let (outbox, messages) = mpsc::channel(OUTBOX);
    let (pieces, from_pods) = mpsc::channel(1);
    let limits = Limits { send_buffer: SEND_BUFFER, ..Limits::default() };
    let server = Server {
        session: Session::server(limits),
        input: BytesMut::new(),
        pairs: Pairs::new(runtime, pieces),
        held: None,
        pong: None,
    };
    tokio::join!(server.run(incoming, from_pods, outbox), wire::write(sink, messages));
}

/// The server's end of a session.
struct Server {
    session: Session,
    /// What has come and is not yet looked at.
    input: BytesMut,
    pairs: Pairs,
    /// Data that its pod does not take yet. As in a real server, everything behind it waits.
    held: Option<Held>,
    /// The answer to a WebSocket's ping.
    pong: Option<Bytes>,
}

/// Data, and where it goes.
struct Held {
    bytes: Bytes,
    inbox: mpsc::Sender<Bytes>,
}

impl Server {
    async fn run(
        mut self,
        mut incoming: impl Stream<Item = std::io::Result<Message>> + Unpin,
        mut from_pods: mpsc::Receiver<Piece>,
        outbox: mpsc::Sender<Message>,
    ) {
        loop {
            if !self.act() {
                break;
            }
            let has_output = self.pong.is_some() || !self.session.output().is_empty();
            tokio::select! {
                message = incoming.next(), if self.held.is_none() && self.pong.is_none() => match message {
                    Some(Ok(Message::Binary(bytes))) => self.input.extend_from_slice(&bytes),
                    Some(Ok(Message::Ping(payload))) => self.pong = Some(payload),
                    Some(Ok(Message::Text(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close)) => {
                        let _ = outbox.send(Message::Close).await;
                        return;
                    }
                    Some(Err(_)) | None => return,
                },
                () = room(self.held.as_ref()) => self.deliver(),
                Some(piece) = from_pods.recv(), if self.session.send_capacity() >= PIECE => self.send(piece),
                permit = outbox.reserve(), if has_output => match (permit, self.pop()) {
                    (Ok(permit), Some(message)) => permit.send(message),
                    (Ok(_), None) => {}
                    (Err(_), _) => return,
                },
                () = self.pairs.clear() => {}
            }
        }
        // The client is told what it did wrong.
        while let Some(message) = self.pop() {
            if outbox.send(message).await.is_err() {
                return;
            }
        }
    }

    /// Acts on what has come, until something has to wait. Fails if the client breaks the rules.
    fn act(&mut self) -> bool {
        while self.held.is_none() {
            match self.session.receive(&mut self.input) {
                Ok(Some(Event::Opened { stream, headers, fin })) => self.open(stream, &headers, fin),
                Ok(Some(Event::Data { stream, bytes, fin })) => self.take(stream, bytes, fin),
                Ok(Some(Event::Reset { stream, .. })) => self.pairs.reset(stream),
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(error) => {
                    tracing::debug!(%error, "a client's SPDY is none");
                    return false;
                }
            }
        }
        true
    }

    fn open(&mut self, stream: StreamId, headers: &Headers, fin: bool) {
        let Some(purpose) = Purpose::read(stream, headers) else {
            self.session.reset(stream, Status::Cancel);
            return;
        };
        if self.session.reply(stream, &Headers::new(), false).is_ok() {
            self.pairs.add(stream, purpose);
        }
        if fin {
            self.pairs.finish(stream);
        }
    }

    fn take(&mut self, stream: StreamId, bytes: Bytes, fin: bool) {
        // A pod that takes no more is passed over, and so is data on an error stream.
        if let Some(inbox) = self.pairs.inbox(stream).filter(|_| !bytes.is_empty()) {
            self.held = Some(Held { bytes, inbox });
        }
        if fin {
            self.pairs.finish(stream);
        }
    }

    /// Hands over what is held, for which there is room now.
    fn deliver(&mut self) {
        if let Some(held) = self.held.take() {
            let _ = held.inbox.try_send(held.bytes);
        }
    }

    /// Sends what a pod has to say; nobody hears it if the stream is over.
    fn send(&mut self, piece: Piece) {
        let Some(stream) = StreamId::new(piece.lane) else { return };
        let fin = piece.bytes.is_none();
        let _ = self.session.send(stream, piece.bytes.unwrap_or_default(), fin);
    }

    /// The next message to write.
    fn pop(&mut self) -> Option<Message> {
        self.pong.take().map(Message::Pong).or_else(|| self.session.output().pop().map(Message::Binary))
    }
}

/// Waits until there is room for what is held, or nobody to take it. Nobody else fills the room.
async fn room(held: Option<&Held>) {
    match held {
        Some(held) => drop(held.inbox.reserve().await),
        None => std::future::pending().await,
    }
}
