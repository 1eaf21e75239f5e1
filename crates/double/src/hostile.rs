//! What a hostile API server does, where an honest one answers.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{HeaderValue, LOCATION};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::answer::{self, Answer, Body};

/// How much is sent at once, in bytes.
const CHUNK: usize = 16 * 1024;

/// How a server is hostile. What has no end is sent as fast as it is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hostility {
    /// It stops at this point, and keeps the connection open.
    Stall(Stage),
    /// It sends an answer whose headers have no end. It does so to every new connection, whatever is asked for.
    EndlessHead,
    /// It sends a list that has no end, in one page.
    EndlessPage,
    /// It sends a page of a list that has no object, and the token for another such page.
    EndlessPages,
    /// It sends a line that has no end.
    EndlessLine,
    /// It sends one new object after the other in a watch, each with a name of more than this many bytes.
    EndlessObjects {
        /// How long a name is, in bytes.
        name: usize,
    },
    /// It refuses the request, and has no end of reasons.
    EndlessRefusal,
    /// It sends the client to another server.
    Redirect {
        /// The other server's URL.
        to: String,
    },
    /// It accepts a port-forward, and data comes from the pod that nobody asked for and that has no end.
    Flood,
    /// It accepts a port-forward, and the connection fails with a text that has no end.
    EndlessVerdict,
    /// It accepts a port-forward, and sends a half of a frame: of SPDY, or of the WebSocket.
    HalfFrame,
    /// It accepts a port-forward in a WebSocket, and sends a message of this many bytes.
    LongMessage {
        /// Its length, in bytes.
        bytes: u32,
    },
}

/// A point between the connection and its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Before TLS, on every new connection.
    Connection,
    /// After the request.
    Request,
    /// In the headers of an answer, on every new connection.
    Head,
    /// Before the body of an answer.
    Body,
    /// In the body of an answer.
    Middle,
    /// After the upgrade of a port-forward, whose streams get no reply.
    Upgrade,
}

impl Hostility {
    /// Whether it concerns all that is asked for on a connection.
    pub(crate) fn is_of_connections(&self) -> bool {
        matches!(self, Self::Stall(Stage::Connection | Stage::Head) | Self::EndlessHead)
    }

    /// The answer to a request; none if it is an honest one.
    pub(crate) async fn answer(&self) -> Option<Answer> {
        Some(match self {
            Self::Stall(Stage::Request) => std::future::pending().await,
            Self::Stall(Stage::Body) => answer::json(StatusCode::OK, body(stream::pending())),
            Self::Stall(Stage::Middle) => {
                let begun = Bytes::from_static(br#"{"type": "ADDED", "items": ["#);
                answer::json(StatusCode::OK, body(stream::iter([begun]).chain(stream::pending())))
            }
            Self::EndlessPage => {
                let begun = Bytes::from_static(br#"{"metadata": {"resourceVersion": "1"}, "items": [{"metadata": {}}"#);
                endless(StatusCode::OK, begun, br#", {"metadata": {}}"#)
            }
            Self::EndlessPages => {
                let list = json!({"metadata": {"resourceVersion": "1", "continue": "more"}, "items": []});
                answer::object(&list)
            }
            Self::EndlessLine => {
                let begun = Bytes::from_static(br#"{"type": "ADDED", "object": {"metadata": {"name": ""#);
                endless(StatusCode::OK, begun, b"x")
            }
            Self::EndlessObjects { name } => {
                let long = "x".repeat(*name);
                let line = move |version: u64| {
                    let metadata = json!({"name": format!("{version}{long}"), "resourceVersion": version.to_string()});
                    answer::line(&json!({"type": "ADDED", "object": {"metadata": metadata}}))
                };
                answer::json(StatusCode::OK, body(stream::iter(1..).map(line)))
            }
            Self::EndlessRefusal => {
                endless(StatusCode::INTERNAL_SERVER_ERROR, Bytes::from_static(b"because "), b"of that ")
            }
            Self::Redirect { to } => {
                let mut answer = Response::new(answer::whole(""));
                *answer.status_mut() = StatusCode::TEMPORARY_REDIRECT;
                if let Ok(to) = HeaderValue::from_str(to) {
                    answer.headers_mut().insert(LOCATION, to);
                }
                answer
            }
            Self::Stall(Stage::Connection | Stage::Head | Stage::Upgrade)
            | Self::EndlessHead
            | Self::Flood
            | Self::EndlessVerdict
            | Self::HalfFrame
            | Self::LongMessage { .. } => return None,
        })
    }

    /// Answers whatever is asked for on a connection. What came before a request would be no answer to it.
    pub(crate) async fn converse(&self, mut connection: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
        connection.read_u8().await?;
        connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Ty").await?;
        if *self == Self::EndlessHead {
            let name = [b'x'; CHUNK];
            loop {
                connection.write_all(&name).await?;
            }
        }
        listen(connection).await
    }

    /// Carries a port-forward, if it is not an honest one.
    pub(crate) async fn carry(
        &self,
        mut connection: impl AsyncRead + AsyncWrite + Unpin,
        websocket: bool,
    ) -> std::io::Result<()> {
        match self {
            Self::HalfFrame if websocket => connection.write_all(&[0x82, 126, 0x10, 0, 1, 2, 3]).await?,
            // Data of the first stream, of which most is missing.
            Self::HalfFrame => connection.write_all(&[0, 0, 0, 1, 0, 0, 0x10, 0, 1, 2, 3]).await?,
            Self::LongMessage { bytes } => {
                connection.write_all(&[0x82, 127]).await?;
                connection.write_all(&u64::from(*bytes).to_be_bytes()).await?;
                let zeros = [0; CHUNK];
                loop {
                    connection.write_all(&zeros).await?;
                }
            }
            _ => {}
        }
        listen(connection).await
    }

    /// Whether a port-forward is not carried at all.
    pub(crate) fn is_mute(&self) -> bool {
        matches!(self, Self::Stall(Stage::Upgrade) | Self::HalfFrame | Self::LongMessage { .. })
    }
}

/// Reads to the end, and says nothing.
pub(crate) async fn listen(mut connection: impl AsyncRead + Unpin) -> std::io::Result<()> {
    let mut heard = [0; 1024];
    while connection.read(&mut heard).await? > 0 {}
    Ok(())
}

/// An answer that goes on with the same words.
fn endless(code: StatusCode, begun: Bytes, words: &[u8]) -> Answer {
    let chunk = Bytes::from(words.repeat(CHUNK / words.len()));
    answer::json(code, body(stream::iter([begun]).chain(stream::repeat(chunk))))
}

fn body(chunks: impl Stream<Item = Bytes> + Send + 'static) -> Body {
    // What never waits would not let other tasks of a single thread work.
    let frames = chunks.then(|chunk| async {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(Frame::data(chunk))
    });
    StreamBody::new(frames).boxed_unsync()
}
