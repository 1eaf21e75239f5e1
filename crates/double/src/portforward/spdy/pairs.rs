//! The pairs of an error and a data stream.

use std::collections::HashMap;

use bytes::Bytes;
use portgate_spdy::{Headers, StreamId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::portforward::lane::{Lane, Piece};
use crate::portforward::runtime::Runtime;

/// What a stream is for.
#[derive(Debug)]
pub(crate) struct Purpose {
    kind: Kind,
    port: u16,
    /// What the two streams of a connection have in common.
    request: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Error,
    Data,
}

impl Purpose {
    /// `None` if the headers do not say, and the stream is to be rejected.
    pub(crate) fn read(stream: StreamId, headers: &Headers) -> Option<Self> {
        let header = |name| std::str::from_utf8(headers.get(name)?).ok().filter(|value: &&str| !value.is_empty());
        let port = header("port")?.parse().ok().filter(|port| *port > 0)?;
        let kind = match header("streamtype")? {
            "error" => Kind::Error,
            "data" => Kind::Data,
            _ => return None,
        };
        // An old client leaves it to the order of the streams.
        let first = if kind == Kind::Error { stream.number() } else { stream.number().saturating_sub(2) };
        let request = header("requestid").map_or_else(|| first.to_string(), str::to_owned);
        Some(Self { kind, port, request })
    }
}

/// The pairs of a session.
pub(crate) struct Pairs {
    runtime: Runtime,
    /// What the pods send.
    pieces: mpsc::Sender<Piece>,
    /// The streams whose partner has not come yet, by their request.
    halves: HashMap<String, Half>,
    /// The data streams.
    open: HashMap<StreamId, Open>,
    forwards: JoinSet<StreamId>,
}

#[derive(Default)]
struct Half {
    error: Option<StreamId>,
    data: Option<Data>,
}

struct Data {
    stream: StreamId,
    port: u16,
    received: mpsc::Receiver<Bytes>,
    reset: oneshot::Receiver<()>,
}

struct Open {
    /// Where the stream's data goes; `None` once it has ended.
    inbox: Option<mpsc::Sender<Bytes>>,
    /// Dropped when the stream is reset.
    _reset: oneshot::Sender<()>,
}

impl Pairs {
    pub(crate) fn new(runtime: Runtime, pieces: mpsc::Sender<Piece>) -> Self {
        Self { runtime, pieces, halves: HashMap::new(), open: HashMap::new(), forwards: JoinSet::new() }
    }

    /// Adds a stream. With the second of a pair, the connection to the pod begins.
    pub(crate) fn add(&mut self, stream: StreamId, purpose: Purpose) {
        let mut half = self.halves.remove(&purpose.request).unwrap_or_default();
        match purpose.kind {
            Kind::Error => half.error = Some(stream),
            Kind::Data => {
                let (inbox, received) = mpsc::channel(1);
                let (on, reset) = oneshot::channel();
                self.open.insert(stream, Open { inbox: Some(inbox), _reset: on });
                half.data = Some(Data { stream, port: purpose.port, received, reset });
            }
        }
        match half {
            Half { error: Some(error), data: Some(data) } => self.forward(error, data),
            half => drop(self.halves.insert(purpose.request, half)),
        }
    }

    fn forward(&mut self, error: StreamId, data: Data) {
        let lane = |stream: StreamId| Lane { number: stream.number(), session: self.pieces.clone() };
        let (runtime, error, lane) = (self.runtime.clone(), lane(error), lane(data.stream));
        self.forwards.spawn(async move {
            let reset = async { drop(data.reset.await) };
            runtime.forward(data.port, data.received, reset, lane, error).await;
            data.stream
        });
    }

    /// Where a stream's data goes, if it is a data stream and has not ended.
    pub(crate) fn inbox(&self, stream: StreamId) -> Option<mpsc::Sender<Bytes>> {
        self.open.get(&stream)?.inbox.clone()
    }

    /// The client has sent all.
    pub(crate) fn finish(&mut self, stream: StreamId) {
        if let Some(open) = self.open.get_mut(&stream) {
            open.inbox = None;
        }
    }

    /// The client has broken a stream off.
    pub(crate) fn reset(&mut self, stream: StreamId) {
        self.open.remove(&stream);
    }

    /// Waits for the end of a connection, and forgets it.
    pub(crate) async fn clear(&mut self) {
        match self.forwards.join_next().await {
            Some(Ok(stream)) => drop(self.open.remove(&stream)),
            Some(Err(_)) => {}
            None => std::future::pending().await,
        }
    }
}
