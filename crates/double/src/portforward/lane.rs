//! One direction of a stream or channel, from a pod to the client.

use bytes::Bytes;
use tokio::sync::mpsc;

/// What is to be sent.
#[derive(Debug)]
pub(crate) struct Piece {
    /// On which stream or channel.
    pub(crate) lane: u32,
    /// What; `None`: no more.
    pub(crate) bytes: Option<Bytes>,
}

/// Sends on one stream or channel of a session.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) number: u32,
    pub(crate) session: mpsc::Sender<Piece>,
}

impl Lane {
    /// Sends bytes, and waits until they are taken; whether they were.
    pub(crate) async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        self.session.send(Piece { lane: self.number, bytes: Some(bytes.into()) }).await.is_ok()
    }

    /// Ends this direction.
    pub(crate) async fn end(&self) {
        // A session that is over has ended, too.
        let _ = self.session.send(Piece { lane: self.number, bytes: None }).await;
    }
}
