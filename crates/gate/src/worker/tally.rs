//! What a mapping carried, over all workers that served it.

use portgate_core::status::Counters;

/// The counters of one mapping.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Of the workers that are gone, as they last reported it.
    gone: Counters,
    /// Of the one that lives, as it last reported it.
    live: Counters,
}

impl Tally {
    /// The living worker has reported.
    pub(super) fn update(&mut self, live: Counters) {
        self.live = live;
    }

    /// The worker has died, and with it what was open.
    pub(super) fn bury(&mut self) {
        self.gone = Counters { connections_open: 0, sessions_open: 0, ..self.total() };
        self.live = Counters::default();
    }

    /// What all workers carried.
    pub(super) fn total(&self) -> Counters {
        let mut total = self.gone.clone();
        total += self.live.clone();
        total
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portgate_core::status::LastError;

    use super::*;

    fn counters(open: u64, total: u64) -> Counters {
        Counters { connections_open: open, sessions_open: open, connections_total: total, ..Counters::default() }
    }

    #[test]
    fn a_new_worker_counts_on_but_holds_nothing_open() {
        let mut tally = Tally::default();
        tally.update(counters(2, 5));
        tally.bury();
        assert_eq!(tally.total(), counters(0, 5));
        tally.update(counters(1, 3));
        tally.update(counters(1, 4));
        assert_eq!(tally.total(), counters(1, 9));
    }

    #[test]
    fn the_newest_error_is_kept() {
        let failed = |message: &str| Counters {
            last_error: Some(LastError { at: Timestamp::UNIX_EPOCH, message: message.to_owned() }),
            ..Counters::default()
        };
        let mut tally = Tally::default();
        tally.update(failed("first"));
        tally.bury();
        assert_eq!(tally.total(), failed("first"));
        tally.update(failed("second"));
        assert_eq!(tally.total(), failed("second"));
    }

    #[test]
    fn no_report_is_too_large_to_be_added() {
        let mut tally = Tally::default();
        tally.update(counters(0, u64::MAX));
        tally.bury();
        tally.update(counters(0, 1));
        assert_eq!(tally.total(), counters(0, u64::MAX));
    }
}
