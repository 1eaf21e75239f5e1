//! What became of the exchanges of a flow.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A request and its answer: a whole connection, a piece of one, or a datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) outcome: Result<(), Loss>,
}

/// Why there is no right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nobody listens.
    Refused,
    /// The connection broke.
    Broken(io::ErrorKind),
    /// The connection ended in peace before all had come back.
    Short { received: u64, of: u64 },
    /// No answer came in time.
    Silent,
    /// An answer that is not the node's. Nothing excuses it.
    Wrong { position: u64 },
}

impl From<io::Error> for Loss {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused,
            kind => Self::Broken(kind),
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("refused"),
            Self::Broken(kind) => write!(f, "broken: {kind}"),
            Self::Short { received, of } => write!(f, "ended after {received} of {of} bytes"),
            Self::Silent => f.write_str("no answer"),
            Self::Wrong { position } => write!(f, "WRONG BYTE at position {position}"),
        }
    }
}

/// The exchanges of one flow, by their numbers.
#[derive(Debug, Default)]
pub(crate) struct Record(Mutex<Exchanges>);

#[derive(Debug, Default)]
struct Exchanges {
    next: u64,
    open: BTreeMap<u64, Instant>,
    done: Vec<Exchange>,
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Exchanges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An exchange begins; its number.
    pub(crate) fn begin(&self) -> u64 {
        let mut exchanges = self.lock();
        let number = exchanges.next;
        exchanges.next += 1;
        exchanges.open.insert(number, Instant::now());
        number
    }

    /// An exchange ends. One that has ended before stays as it is.
    pub(crate) fn end(&self, number: u64, outcome: Result<(), Loss>) {
        let mut exchanges = self.lock();
        if let Some(began) = exchanges.open.remove(&number) {
            exchanges.done.push(Exchange { began, ended: Instant::now(), outcome });
        }
    }

    /// An answer came that nobody asked for, or another than the right one.
    pub(crate) fn wrong(&self, position: u64) {
        let now = Instant::now();
        let outcome = Err(Loss::Wrong { position });
        self.lock().done.push(Exchange { began: now, ended: now, outcome });
    }

    /// Gives up exchanges without an answer.
    pub(crate) fn give_up(&self, after: Duration) {
        let mut exchanges = self.lock();
        let now = Instant::now();
        while let Some(oldest) = exchanges.open.first_entry()
            && now.duration_since(*oldest.get()) > after
        {
            let began = oldest.remove();
            exchanges.done.push(Exchange { began, ended: now, outcome: Err(Loss::Silent) });
        }
    }

    /// Whether an exchange that began after `since` has succeeded, and none has failed for this long.
    pub(crate) fn works(&self, since: Instant, quiet: Duration) -> bool {
        let exchanges = self.lock();
        let mut recent = exchanges.done.iter().filter(|exchange| exchange.began >= since);
        let failed = |exchange: &Exchange| exchange.outcome.is_err() && exchange.ended.elapsed() < quiet;
        recent.any(|exchange| exchange.outcome.is_ok()) && !exchanges.done.iter().any(failed)
    }

    /// Whether all that began before then has ended.
    pub(crate) fn is_settled(&self, before: Instant) -> bool {
        self.lock().open.values().all(|began| *began >= before)
    }

    /// What has ended, in the order of its end. It is forgotten here.
    pub(crate) fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.lock().done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_ends_once() {
        let record = Record::default();
        let number = record.begin();
        record.give_up(Duration::ZERO);
        record.end(number, Ok(()));
        let taken = record.take();
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].outcome, Err(Loss::Silent));
        assert!(record.take().is_empty());
    }

    #[test]
    fn a_flow_works_again_once_something_new_succeeds() {
        let record = Record::default();
        let old = record.begin();
        let since = Instant::now();
        record.end(old, Ok(()));
        assert!(!record.works(since, Duration::ZERO) && record.is_settled(Instant::now()));
        let new = record.begin();
        assert!(!record.is_settled(Instant::now() + Duration::from_secs(1)));
        record.end(new, Ok(()));
        assert!(record.works(since, Duration::ZERO));
        record.wrong(3);
        assert!(!record.works(since, Duration::from_secs(1)));
    }
}
