//! The last resort: a WebSocket for each stream, with a channel for data and one for the verdict.
//!
//! The protocol is `v4.channel.k8s.io`. A message begins with the number of its channel; the first on each channel is
//! the port, in two bytes. It cannot end one direction only: see [`LINGER`].

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use portgate_core::limits::API_ANSWER;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_util::sync::CancellationToken;

use super::error::{Loss, StreamError};
use super::far_end::FarEnd;
use super::link::{Command, Link, weight};
use super::stream::PodStream;

/// Both ways, data.
const DATA: u8 = 0;

/// From the pod's side: why the connection failed.
const ERROR: u8 = 1;

/// How long the pod may be silent, once the near end has finished, before the connection is ended.
const LINGER: Duration = Duration::from_secs(5);

/// How often a proxy that ends what is idle is kept from that.
const PING: Duration = Duration::from_secs(30);

/// Makes a stream of a connection; the future carries it.
pub(super) fn stream<C>(connection: WebSocketStream<C>) -> (PodStream, impl Future<Output = ()>)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (link, commands) = Link::new();
    let link = Arc::new(link);
    let (stream, inbox) = PodStream::new(&link, 0);
    (stream, carry(connection, link, commands, FarEnd::new(inbox)))
}

async fn carry<C>(
    connection: WebSocketStream<C>,
    link: Arc<Link>,
    commands: mpsc::UnboundedReceiver<Command>,
    mut end: FarEnd,
) where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let (mut sink, source) = connection.split();
    let finished = CancellationToken::new();
    let broken = tokio::select! {
        read = read(source, &link, &mut end, &finished) => read.err().map(|loss| StreamError::Lost(Arc::new(loss))),
        why = write(&mut sink, &link, commands, &finished) => Some(why),
    };
    match broken {
        None => {
            end.end();
            end.judge();
        }
        Some(why) => end.break_off(why),
    }
    // Whether the other side hears it makes no difference any more.
    let _ = timeout(LINGER, sink.close()).await;
}

/// Hands over what comes, if the other side begins in time, until the other side has ended, or has nothing more to say to one that has finished.
async fn read(
    mut source: impl Stream<Item = tungstenite::Result<Message>> + Unpin,
    link: &Link,
    end: &mut FarEnd,
    finished: &CancellationToken,
) -> Result<(), Loss> {
    let mut is_begun = [false; 2];
    let late = sleep(API_ANSWER);
    tokio::pin!(late);
    loop {
        let is_awaited = is_begun != [true; 2];
        let silence = async {
            finished.cancelled().await;
            sleep(LINGER).await;
        };
        let message = tokio::select! {
            message = source.next() => message,
            () = silence => None,
            () = &mut late, if is_awaited => return Err(Loss::Silent(API_ANSWER)),
        };
        let mut bytes = match message.transpose()? {
            Some(Message::Binary(bytes)) if !bytes.is_empty() => bytes,
            Some(_) => continue,
            None => return Ok(()),
        };
        let channel = bytes.get_u8();
        match is_begun.get_mut(usize::from(channel)) {
            // The port.
            Some(is_begun @ false) => *is_begun = true,
            Some(true) if channel == ERROR => end.explain(&bytes),
            Some(true) => {
                end.put(bytes);
                while end.lane.is_full() {
                    link.resumed.notified().await;
                }
            }
            None => {}
        }
    }
}

/// Sends what there is to send, until that cannot go on.
async fn write(
    sink: &mut (impl Sink<Message, Error = tungstenite::Error> + Unpin),
    link: &Link,
    mut commands: mpsc::UnboundedReceiver<Command>,
    finished: &CancellationToken,
) -> StreamError {
    loop {
        let (message, room) = match timeout(PING, commands.recv()).await {
            Ok(Some(Command::Send { bytes, .. })) => {
                let mut message = BytesMut::with_capacity(1 + bytes.len());
                message.put_u8(DATA);
                message.put_slice(&bytes);
                (Message::Binary(message.freeze()), weight(&bytes))
            }
            Ok(Some(Command::Finish { .. })) => {
                finished.cancel();
                continue;
            }
            Ok(Some(Command::Open { .. } | Command::Abandon { .. } | Command::Drain) | None) => {
                return StreamError::GivenUp;
            }
            Err(_) => (Message::Ping(Bytes::new()), 0),
        };
        if let Err(error) = sink.send(message).await {
            return StreamError::Lost(Arc::new(error.into()));
        }
        link.room.add_permits(room);
    }
}
