//! The answers of an API server, read within limits.
//!
//! A server could send without end, many answers at a time. So a body is read up to a limit, and [`Turns`] bound how many
//! answers are held at a time, and how many large ones.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use portgate_core::escape;
use portgate_core::limits::{API_ANSWER, API_LINE, API_REFUSAL, Limit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// How many answers are held at a time.
pub(crate) const AT_ONCE: usize = 8;

/// How large an answer may become, in bytes, before it has to be the only large one.
const LARGE_ANSWER: usize = 1 << 20;

/// The same of a line of a watch, of which there are as many as there are watches.
const LARGE_LINE: usize = 64 << 10;

/// Why there is no answer, or no more of one.
#[derive(Debug)]
pub(crate) enum Failed {
    /// The client failed, or the server refuses.
    Client(Box<kube::Error>),
    /// It is more than this.
    TooMuch(Limit),
    /// It does not go on.
    Late,
}

impl From<kube::Error> for Failed {
    fn from(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

/// Sends a request. An answer other than of success is an error; redirects are not followed.
pub(crate) async fn send(client: &Client, request: Request<Vec<u8>>) -> Result<Response<Body>, Failed> {
    let answer = client.send(request.map(Body::from)).await?;
    if answer.status().is_success() {
        return Ok(answer);
    }
    let code = answer.status().as_u16();
    let text = refusal(answer.into_body()).await?;
    let status = serde_json::from_slice(&text).unwrap_or_else(|_| {
        let message = String::from_utf8_lossy(&text);
        Status::failure(message.trim(), "").with_code(code)
    });
    Err(kube::Error::Api(Box::new(Status { code, message: cut(&status.message), ..status })).into())
}

/// What a refusal says, as far as it is read.
pub(crate) async fn refusal(mut body: Body) -> Result<Vec<u8>, kube::Error> {
    let mut text = Vec::new();
    while text.len() < API_REFUSAL.most
        && let Some(frame) = body.frame().await
    {
        let Ok(bytes) = frame?.into_data() else { continue };
        text.extend_from_slice(&bytes[..bytes.len().min(API_REFUSAL.most - text.len())]);
    }
    Ok(text)
}

/// As much of a server's text as is shown.
pub(crate) fn cut(text: &str) -> String {
    // One more character lets it be seen that something is missing.
    text.chars().take(escape::LONGEST + 1).collect()
}

/// Who may hold answers.
#[derive(Clone)]
pub(crate) struct Turns {
    any: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

/// The right to hold an answer, as it is or as what became of it.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    any: Option<OwnedSemaphorePermit>,
    large: Option<OwnedSemaphorePermit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { any: Arc::new(Semaphore::new(AT_ONCE)), large: Arc::new(Semaphore::new(1)) }
    }
}

impl Turns {
    /// Reads a body, or fails if it is longer than `limit`.
    pub(crate) async fn read(&self, turn: &mut Turn, mut body: Body, limit: Limit) -> Result<Vec<u8>, Failed> {
        self.take(turn).await;
        let mut content = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(bytes) = frame?.into_data() else { continue };
            let length = content.len() + bytes.len();
            if length > limit.most {
                return Err(Failed::TooMuch(limit));
            }
            self.grow(turn, length).await;
            content.extend_from_slice(&bytes);
        }
        Ok(content)
    }

    async fn take(&self, turn: &mut Turn) {
        if turn.any.is_none() {
            turn.any = permit(&self.any).await;
        }
    }

    /// Waits, if an answer is large by now, until no other is.
    pub(crate) async fn grow(&self, turn: &mut Turn, length: usize) {
        if length > LARGE_ANSWER && turn.large.is_none() {
            turn.large = permit(&self.large).await;
        }
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // It is never closed.
    Arc::clone(semaphore).acquire_owned().await.ok()
}

/// The lines of an answer that goes on for long.
pub(crate) struct Lines {
    body: Body,
    /// What has come of the next line.
    begun: Vec<u8>,
    /// What has come and is not looked at.
    rest: Bytes,
    is_over: bool,
    turns: Turns,
    turn: Turn,
}

/// A line, and the right to hold it.
pub(crate) struct Line {
    pub(crate) text: Bytes,
    pub(crate) turn: Turn,
}

impl Lines {
    pub(crate) fn new(body: Body, turns: Turns) -> Self {
        Self { body, begun: Vec::new(), rest: Bytes::new(), is_over: false, turns, turn: Turn::default() }
    }

    /// The next line, without its end; none at the end of the answer, or where it broke off.
    ///
    /// The server may be silent for as long as it wants between lines, but not within one.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, Failed> {
        let mut deadline = None;
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let last = self.rest.split_to(end + 1).slice(..end);
                return self.line(last).await.map(Some);
            }
            let rest = std::mem::take(&mut self.rest);
            self.begin(&rest).await?;
            if self.is_over {
                let is_whole = self.begun.is_empty();
                return if is_whole { Ok(None) } else { self.line(Bytes::new()).await.map(Some) };
            }
            if !self.begun.is_empty() {
                deadline.get_or_insert_with(|| Instant::now() + API_ANSWER);
            }
            let frame = match deadline {
                None => self.body.frame().await,
                Some(deadline) => timeout_at(deadline, self.body.frame()).await.map_err(|_| Failed::Late)?,
            };
            match frame.transpose() {
                Ok(Some(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Ok(None) => self.is_over = true,
                Err(_) => return Ok(None),
            }
        }
    }

    /// Keeps a part of a line.
    async fn begin(&mut self, part: &[u8]) -> Result<(), Failed> {
        let length = self.begun.len() + part.len();
        if length > API_LINE.most {
            return Err(Failed::TooMuch(API_LINE));
        }
        if length > LARGE_LINE && self.turn.large.is_none() {
            self.turn.large = permit(&self.turns.large).await;
        }
        self.begun.extend_from_slice(part);
        Ok(())
    }

    /// The line that ends with this part.
    async fn line(&mut self, last: Bytes) -> Result<Line, Failed> {
        let text = if self.begun.is_empty() {
            last
        } else {
            self.begin(&last).await?;
            std::mem::take(&mut self.begun).into()
        };
        Ok(Line { text, turn: std::mem::take(&mut self.turn) })
    }
}
