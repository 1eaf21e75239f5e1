//! A stream to a port of a pod, as its user has it: three parts that may be used at the same time.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::error::StreamError;
use super::link::{Command, Lane, Link, SENT, weight};

/// How short a piece is copied, in bytes. It would keep all that was read with it in memory, which may be a hundred times
/// as much.
const COPIED: usize = 4 * 1024;

/// The most that is sent at once, in bytes.
const AT_ONCE: usize = SENT / 2;

/// A stream to a port of a pod.
///
/// Dropping the sender before [`Sender::finish`], or the receiver before the end, resets the stream; no other is
/// concerned.
#[derive(Debug)]
pub struct PodStream {
    /// What goes to the pod.
    pub sender: Sender,
    /// What comes from the pod.
    pub receiver: Receiver,
    /// What the pod's side says of the connection, if it fails.
    pub verdict: Verdict,
}

/// A stream's end of what the pod's side puts into it.
pub(super) struct Inbox {
    bytes: mpsc::UnboundedSender<Bytes>,
    pub(super) lane: Arc<Lane>,
}

impl Inbox {
    /// Hands bytes over. Whether that is enough for now.
    pub(super) fn put(&self, bytes: Bytes) -> bool {
        if bytes.is_empty() {
            return false;
        }
        let bytes = if bytes.len() < COPIED { Bytes::copy_from_slice(&bytes) } else { bytes };
        self.lane.put(&bytes);
        // Who does not receive any more has given the stream up, and says so.
        let _ = self.bytes.send(bytes);
        self.lane.is_full()
    }

    /// The pod's side has sent all.
    pub(super) fn end(self) {
        let _ = self.bytes.send(Bytes::new());
    }
}

impl PodStream {
    /// The stream of this number in its session, and where what it receives is put.
    pub(super) fn new(link: &Arc<Link>, number: u32) -> (Self, Inbox) {
        let lane = Arc::new(Lane::default());
        let (bytes, inbox) = mpsc::unbounded_channel();
        let end = || End { link: Arc::clone(link), lane: Arc::clone(&lane), stream: number, is_over: false };
        let stream = Self {
            sender: Sender(end()),
            receiver: Receiver { end: end(), inbox },
            verdict: Verdict(Arc::clone(&lane)),
        };
        (stream, Inbox { bytes, lane })
    }
}

/// One direction of a stream. If it is not over when this is dropped, the stream is given up.
struct End {
    link: Arc<Link>,
    lane: Arc<Lane>,
    stream: u32,
    is_over: bool,
}

impl End {
    fn broken(&self) -> Result<(), StreamError> {
        self.lane.broken.get().map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("End").field("stream", &self.stream).field("is_over", &self.is_over).finish_non_exhaustive()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        if !self.is_over {
            self.link.command(Command::Abandon { stream: self.stream });
        }
    }
}

/// Sends to a pod.
#[derive(Debug)]
pub struct Sender(End);

impl Sender {
    /// Sends bytes. Waits while as much waits to be written as its session takes: 128 KiB, which streams that share a
    /// session share as well. That they were sent does not mean that the pod has them.
    ///
    /// Not cancel-safe: of a call that is dropped, a part may have been sent.
    pub async fn send(&mut self, mut bytes: Bytes) -> Result<(), StreamError> {
        if self.0.is_over {
            return Err(StreamError::Finished);
        }
        while !bytes.is_empty() {
            self.0.broken()?;
            let piece = bytes.split_to(bytes.len().min(AT_ONCE));
            self.room(weight(&piece)).await?;
            self.0.link.command(Command::Send { stream: self.0.stream, bytes: piece });
        }
        Ok(())
    }

    /// Takes room for so much.
    async fn room(&self, weight: usize) -> Result<(), StreamError> {
        let End { link, lane, .. } = &self.0;
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        if let Ok(room) = link.room.try_acquire_many(weight) {
            room.forget();
            return Ok(());
        }
        tokio::select! {
            biased;
            error = lane.broken.wait() => Err(error.clone()),
            Ok(room) = link.room.acquire_many(weight) => {
                room.forget();
                Ok(())
            }
        }
    }

    /// Ends this direction; the pod may go on sending. More than once is the same as once.
    #[expect(clippy::unused_async, reason = "what is sent may have to wait, and this is sent, too")]
    pub async fn finish(&mut self) -> Result<(), StreamError> {
        if !self.0.is_over {
            self.0.broken()?;
            self.0.is_over = true;
            self.0.link.command(Command::Finish { stream: self.0.stream });
        }
        Ok(())
    }
}

/// Receives from a pod.
#[derive(Debug)]
pub struct Receiver {
    end: End,
    inbox: mpsc::UnboundedReceiver<Bytes>,
}

impl Receiver {
    /// The next bytes, never none of them; `None` once the pod's side has sent all. Up to 32 KiB and what one read of
    /// the connection brings wait here; then the session stops reading, with all streams that share it.
    ///
    /// Cancel-safe: a call that is dropped has taken nothing.
    pub async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        if self.end.is_over {
            return Ok(None);
        }
        match self.inbox.recv().await {
            Some(bytes) if bytes.is_empty() => {
                self.end.is_over = true;
                Ok(None)
            }
            Some(bytes) => {
                if self.end.lane.took(&bytes) {
                    self.end.link.resumed.notify_one();
                }
                Ok(Some(bytes))
            }
            // Whoever put bytes there has said why it stopped.
            None => Err(self.end.lane.broken.wait().await.clone()),
        }
    }
}

/// What the pod's side says of a connection.
#[derive(Debug)]
pub struct Verdict(Arc<Lane>);

impl Verdict {
    /// Waits until the pod's side has said all: why the connection failed, in its own words, at most 16 KiB of them;
    /// `None` if it did not fail, or if the stream was reset or lost. May be awaited any number of times, also at the
    /// same time. Cancel-safe.
    pub async fn wait(&self) -> Option<String> {
        self.0.verdict.wait().await.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_short_piece_does_not_keep_what_was_read_with_it() {
        let (link, _commands) = Link::new();
        let (mut stream, inbox) = PodStream::new(&Arc::new(link), 1);
        let read = Bytes::from(vec![7; 32 * 1024]);
        for (length, is_kept) in [(1, false), (COPIED - 1, false), (COPIED, true)] {
            inbox.put(read.slice(..length));
            let piece = stream.receiver.next().await.unwrap().unwrap();
            assert_eq!(piece, read.slice(..length));
            assert_eq!(read.as_ptr_range().contains(&piece.as_ptr()), is_kept, "{length}");
        }
    }
}
