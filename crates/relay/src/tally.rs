//! What a mapping carried, counted while it is carried.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use portgate_core::status::{Counters, LastError};

/// A failure like the one before is logged again only after so long a pause.
const REPEATED: SignedDuration = SignedDuration::from_secs(10);

/// One number that many tasks add to.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Counts so many more.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Counts so many less.
    pub fn subtract(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The live form of [`Counters`], whose fields say what is counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// [`Counters::connections_open`]
    pub connections_open: Count,
    /// [`Counters::connections_total`]
    pub connections_total: Count,
    /// [`Counters::connections_failed`]
    pub connections_failed: Count,
    /// [`Counters::bytes_in`]
    pub bytes_in: Count,
    /// [`Counters::bytes_out`]
    pub bytes_out: Count,
    /// [`Counters::datagrams_in`]
    pub datagrams_in: Count,
    /// [`Counters::datagrams_out`]
    pub datagrams_out: Count,
    /// [`Counters::datagrams_dropped`]
    pub datagrams_dropped: Count,
    /// [`Counters::sessions_open`]
    pub sessions_open: Count,
    /// [`Counters::sessions_total`]
    pub sessions_total: Count,
    /// [`Counters::sessions_evicted`]
    pub sessions_evicted: Count,
    /// [`Counters::sessions_refused`]
    pub sessions_refused: Count,
    last_error: Mutex<Option<LastError>>,
}

impl Tally {
    /// Notes a failure as the newest, and logs it unless it repeats the one before.
    pub fn note(&self, failure: impl Display) {
        let error = LastError { at: Timestamp::now(), message: failure.to_string() };
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let repeats = |last: &LastError| last.message == error.message && error.at.duration_since(last.at) < REPEATED;
        if !last.as_ref().is_some_and(repeats) {
            tracing::warn!("{}", error.message);
        }
        *last = Some(error);
    }

    /// The numbers of this moment.
    pub fn counters(&self) -> Counters {
        Counters {
            connections_open: self.connections_open.get(),
            connections_total: self.connections_total.get(),
            connections_failed: self.connections_failed.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            datagrams_in: self.datagrams_in.get(),
            datagrams_out: self.datagrams_out.get(),
            datagrams_dropped: self.datagrams_dropped.get(),
            sessions_open: self.sessions_open.get(),
            sessions_total: self.sessions_total.get(),
            sessions_evicted: self.sessions_evicted.get(),
            sessions_refused: self.sessions_refused.get(),
            last_error: self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}
