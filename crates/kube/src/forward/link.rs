//! What the ends of a stream and the task that carries it have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use portgate_core::port::Port;
use tokio::sync::{Notify, Semaphore, SetOnce, mpsc, oneshot};

use super::error::{ForwardError, StreamError};
use super::lease::Lease;
use super::pool::Reach;
use super::stream::PodStream;

/// How much of a stream waits for its receiver before its session stops reading, in bytes. What one read brings is let
/// in on top of that.
const RECEIVED: usize = 32 * 1024;

/// How little of a stream waits when its session reads again, in bytes.
const RESUMED: usize = RECEIVED / 2;

/// How much may wait to be written to a session, in bytes.
pub(super) const SENT: usize = 128 * 1024;

/// What a piece of data takes beside its bytes, in bytes, so that many small ones count as well.
const PIECE: usize = 64;

/// What a session is told.
pub(super) enum Command {
    /// Open a stream.
    Open { port: Port, lease: Lease, answer: oneshot::Sender<Result<PodStream, ForwardError>> },
    /// Send bytes, for which room has been taken.
    Send { stream: u32, bytes: Bytes },
    /// Nothing more will be sent.
    Finish { stream: u32 },
    /// One end of a stream was given up.
    Abandon { stream: u32 },
    /// No more streams: end with the last.
    Drain,
}

/// The way to a session.
pub(super) struct Link {
    commands: mpsc::UnboundedSender<Command>,
    /// How much more may wait to be written. Closed with the session.
    pub(super) room: Semaphore,
    /// A receiver has made room.
    pub(super) resumed: Notify,
    /// Whether nothing can be read or nothing written at the moment.
    is_stalled: AtomicBool,
}

impl Link {
    /// A way, and its end.
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Command>) {
        let (commands, received) = mpsc::unbounded_channel();
        (
            Self { commands, room: Semaphore::new(SENT), resumed: Notify::new(), is_stalled: AtomicBool::new(false) },
            received,
        )
    }

    /// Says whether nothing can be read or nothing written at the moment.
    pub(super) fn set_stalled(&self, is_stalled: bool) {
        self.is_stalled.store(is_stalled, Ordering::Relaxed);
    }

    /// Tells the session something. One that is over does not care.
    pub(super) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }
}

impl Reach for Arc<Link> {
    fn is_stalled(&self) -> bool {
        self.is_stalled.load(Ordering::Relaxed)
    }
}

/// What sending so much counts.
pub(super) fn weight(bytes: &Bytes) -> usize {
    bytes.len() + PIECE
}

/// The state of a stream that both its ends see.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// How much waits for the receiver.
    waiting: AtomicUsize,
    /// Why neither end is of use any more.
    pub(super) broken: SetOnce<StreamError>,
    /// What the error stream has said, once it has ended.
    pub(super) verdict: SetOnce<Option<String>>,
}

impl Lane {
    /// Something was put where the receiver finds it.
    pub(super) fn put(&self, bytes: &Bytes) {
        self.waiting.fetch_add(weight(bytes), Ordering::AcqRel);
    }

    /// The receiver has taken something. Whether there is room again, and was none before.
    pub(super) fn took(&self, bytes: &Bytes) -> bool {
        let before = self.waiting.fetch_sub(weight(bytes), Ordering::AcqRel);
        before >= RESUMED && before - weight(bytes) < RESUMED
    }

    /// Whether nothing more may be put there.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.load(Ordering::Acquire) >= RECEIVED
    }

    /// Whether there is room again.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.load(Ordering::Acquire) < RESUMED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_was_full_has_room_once_half_is_taken() {
        let lane = Lane::default();
        let bytes = Bytes::from(vec![0; RECEIVED / 4 - PIECE]);
        for _ in 0..3 {
            lane.put(&bytes);
        }
        assert!(!lane.is_full());
        lane.put(&bytes);
        assert!(lane.is_full());
        let takes: Vec<_> = (0..4).map(|_| (lane.took(&bytes), lane.has_room())).collect();
        assert_eq!(takes, [(false, false), (false, false), (true, true), (false, true)]);
    }

    #[test]
    fn small_pieces_count_for_what_they_take() {
        let lane = Lane::default();
        let count = (1..RECEIVED).find(|_| {
            lane.put(&Bytes::from_static(b"x"));
            lane.is_full()
        });
        assert!(count.unwrap() < RECEIVED / PIECE);
    }
}
