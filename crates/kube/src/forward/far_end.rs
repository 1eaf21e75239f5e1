//! The end of a stream that is filled with what the pod's side says.

use std::sync::Arc;

use bytes::Bytes;
use portgate_core::limits::VERDICT;

use super::error::StreamError;
use super::link::Lane;
use super::stream::Inbox;

/// The far end of a [`PodStream`](super::PodStream). When it is dropped, nobody waits at the near end any more.
pub(super) struct FarEnd {
    /// Where data goes, until the pod's side has sent all.
    inbox: Option<Inbox>,
    pub(super) lane: Arc<Lane>,
    /// What the pod's side has said of the connection, until it has said all.
    verdict: Option<Vec<u8>>,
    /// Whether the near end has more to send.
    pub(super) is_sending: bool,
}

impl FarEnd {
    pub(super) fn new(inbox: Inbox) -> Self {
        let lane = Arc::clone(&inbox.lane);
        Self { inbox: Some(inbox), lane, verdict: Some(Vec::new()), is_sending: true }
    }

    /// Whether the pod's side has said all that it ever will.
    pub(super) fn is_left(&self) -> bool {
        self.inbox.is_none() && self.verdict.is_none()
    }

    /// Whether the near end has done so, too.
    pub(super) fn is_over(&self) -> bool {
        self.is_left() && !self.is_sending
    }

    /// Hands data over. Whether that is enough for now.
    pub(super) fn put(&self, bytes: Bytes) -> bool {
        self.inbox.as_ref().is_some_and(|inbox| inbox.put(bytes))
    }

    /// The pod's side has sent all.
    pub(super) fn end(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            inbox.end();
        }
    }

    /// Takes what the pod's side says of the connection. Beyond the limit it has said all.
    pub(super) fn explain(&mut self, bytes: &[u8]) {
        if let Some(verdict) = &mut self.verdict {
            verdict.extend_from_slice(&bytes[..bytes.len().min(VERDICT.most - verdict.len())]);
            if verdict.len() == VERDICT.most {
                self.judge();
            }
        }
    }

    /// The pod's side has said all of the connection.
    pub(super) fn judge(&mut self) {
        if let Some(verdict) = self.verdict.take() {
            let text = String::from_utf8_lossy(&verdict).into_owned();
            // It was not set before.
            let _ = self.lane.verdict.set((!text.is_empty()).then_some(text));
        }
    }

    /// The pod's side will say nothing of the connection, whatever it has said so far.
    pub(super) fn acquit(&mut self) {
        if self.verdict.take().is_some() {
            // It was not set before.
            let _ = self.lane.verdict.set(None);
        }
    }

    /// Neither direction is of use any more, for this reason.
    pub(super) fn break_off(&mut self, why: StreamError) {
        // The first reason is the one that counts.
        let _ = self.lane.broken.set(why);
        self.inbox = None;
        self.is_sending = false;
    }
}

impl Drop for FarEnd {
    fn drop(&mut self) {
        self.break_off(StreamError::Closed);
        self.acquit();
    }
}
