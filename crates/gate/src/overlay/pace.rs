//! When the kernel's rules are looked at: at once where somebody has changed something, but not as often as others like,
//! and again where it failed for a passing reason.

use std::time::Duration;

use tokio::time::Instant;

/// The shortest time from one look to the next that a change asks for. A look takes some milliseconds on a host with many
/// rules and routes, and others may change theirs in a loop.
const INTERVAL: Duration = Duration::from_millis(250);

/// When to try again what failed: at first, and at last.
const AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// When the next look is due.
#[derive(Debug)]
pub(super) struct Pace {
    last: Option<Instant>,
    due: Option<Instant>,
    pause: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { last: None, due: None, pause: AGAIN.0 }
    }
}

impl Pace {
    /// Something has changed. The look that follows sees it: whatever changes until then asks for no other.
    pub(super) fn ask(&mut self, now: Instant) {
        let earliest = self.last.map_or(now, |last| now.max(last + INTERVAL));
        self.due.get_or_insert(earliest);
    }

    /// When the next look is due, if one is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes note of a look that begins now: it is the one that was asked for.
    pub(super) fn looked(&mut self, now: Instant) {
        (self.last, self.due) = (Some(now), None);
    }

    /// Takes note of a failure that passes, and asks for another look. Returns whether it is the first in a row.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        let first = self.pause == AGAIN.0;
        self.due = Some(now + self.pause);
        self.pause = (self.pause * 2).min(AGAIN.1);
        first
    }

    /// Takes note that all is done.
    pub(super) fn succeeded(&mut self) {
        self.pause = AGAIN.0;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loop_of_changes_asks_for_some_looks_a_second_and_for_one_after_the_last() {
        let mut pace = Pace::default();
        let begin = Instant::now();
        let mut looks = Vec::new();
        let mut last_change = begin;
        while begin.elapsed() < Duration::from_secs(10) {
            last_change = Instant::now();
            pace.ask(last_change);
            if pace.due().is_some_and(|due| due <= last_change) {
                looks.push(last_change);
                pace.looked(last_change);
            }
            advance(Duration::from_millis(1)).await;
        }
        assert!((30..=41).contains(&looks.len()), "{}", looks.len());
        assert_eq!(looks[0], begin, "the first change is not put off");
        pace.ask(last_change);
        sleep_until(pace.due().unwrap()).await;
        assert!(last_change.elapsed() <= INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_after_pauses_that_grow_and_changes_do_not_shorten_them() {
        let mut pace = Pace::default();
        let mut pauses = Vec::new();
        for attempt in 0..8 {
            let now = Instant::now();
            assert_eq!(pace.failed(now), attempt == 0);
            pace.ask(now);
            let due = pace.due().unwrap();
            pauses.push((due - now).as_millis());
            sleep_until(due).await;
            pace.looked(Instant::now());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(pace.due(), None);
        pace.succeeded();
        assert!(pace.failed(Instant::now()));
    }
}
