//! When something was last active.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// The start of the time that [`Activity`] is measured in: an atomic number has no room for an [`Instant`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time since the start.
    pub(super) fn now(self) -> Duration {
        self.0.elapsed()
    }

    /// The moment that is this far from the start.
    pub(super) fn instant(self, time: Duration) -> Instant {
        self.0 + time
    }
}

/// The time of the newest datagram, written by both directions of a session without a lock.
#[derive(Debug)]
pub(super) struct Activity(AtomicU64);

impl Activity {
    pub(super) fn new(now: Duration) -> Self {
        Self(AtomicU64::new(micros(now)))
    }

    pub(super) fn touch(&self, now: Duration) {
        self.0.store(micros(now), Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed))
    }
}

/// Good for half a million years.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
