//! The CLI's side of a gate's control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use portgate_core::control::{Detail, Refusal, Request, Response};
use portgate_core::limits::CONTROL_LINE;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_util::codec::{Framed, LinesCodec, LinesCodecError};

/// How often a socket is tried that is not there yet: a gate that was started just now takes some milliseconds.
const RETRY: Duration = Duration::from_millis(10);

/// How long a health check waits for the gate's answer.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(4);

/// Talking to a gate failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No gate listens there.
    #[error("cannot connect to the gate's control socket {path}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the gate broke")]
    Connection(#[source] LinesCodecError),
    /// The gate hung up without an answer.
    #[error("the gate ended the connection without an answer")]
    Ended,
    /// The answer was not understood.
    #[error("the gate's answer is not understood")]
    Answer(#[source] serde_json::Error),
    /// The request could not be written as JSON.
    #[error("the request cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// The gate took too long.
    #[error("the gate did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The gate did not do as it was asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A conversation with a gate, over its socket or through `docker exec`.
pub struct Session<S> {
    lines: Framed<S, LinesCodec>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    /// A conversation over an open connection.
    pub fn new(connection: S) -> Self {
        Self { lines: Framed::new(connection, LinesCodec::new_with_max_length(CONTROL_LINE.most)) }
    }

    /// Asks, and waits for the answer. A refusal is an error.
    pub async fn request(&mut self, request: &Request) -> Result<Response, ClientError> {
        let line = serde_json::to_string(request).map_err(ClientError::Encode)?;
        self.lines.send(line).await.map_err(ClientError::Connection)?;
        let line = self.lines.next().await.ok_or(ClientError::Ended)?.map_err(ClientError::Connection)?;
        match serde_json::from_str(&line).map_err(ClientError::Answer)? {
            Response::Refused(refusal) => Err(refusal.into()),
            response => Ok(response),
        }
    }

    /// The connection, to find out why it ended.
    pub fn into_inner(self) -> S {
        self.lines.into_inner()
    }
}

impl Session<UnixStream> {
    /// Connects to a gate's socket, and waits for one that is not there yet, at most `patience`.
    pub async fn connect(socket: &Path, patience: Duration) -> Result<Self, ClientError> {
        connect(socket, patience).await.map(Self::new)
    }
}

/// Whether the gate answers within four seconds.
pub async fn health(socket: &Path) -> Result<(), ClientError> {
    let check = async {
        Session::connect(socket, Duration::ZERO).await?.request(&Request::Status { detail: Detail::Brief }).await
    };
    tokio::time::timeout(HEALTH_TIMEOUT, check).await.map_err(|_| ClientError::TimedOut(HEALTH_TIMEOUT))?.map(drop)
}

/// Joins standard input and output with a gate's socket, for `docker exec`. Ends when either side has.
pub async fn control(socket: &Path, patience: Duration) -> Result<(), ClientError> {
    let mut stream = connect(socket, patience).await?;
    let mut terminal = tokio::io::join(tokio::io::stdin(), tokio::io::stdout());
    let joined = tokio::io::copy_bidirectional(&mut terminal, &mut stream).await;
    joined.map(drop).map_err(|error| ClientError::Connection(error.into()))
}

/// Whether waiting does not help.
fn is_final(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

async fn connect(socket: &Path, patience: Duration) -> Result<UnixStream, ClientError> {
    let deadline = tokio::time::Instant::now() + patience;
    loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => return Ok(stream),
            Err(source) if is_final(&source) || tokio::time::Instant::now() >= deadline => {
                return Err(ClientError::Connect { path: socket.to_owned(), source });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
}
