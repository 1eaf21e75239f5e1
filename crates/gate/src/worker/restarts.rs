//! When a worker that ended is replaced.

use std::time::Duration;

/// A worker that lived this long is replaced at once.
const LIVELY: Duration = Duration::from_secs(1);
const FIRST: Duration = Duration::from_millis(10);
const LAST: Duration = Duration::from_secs(1);

/// Pauses of 10 ms, doubling up to 1 s, as long as workers die young.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    paused: Duration,
}

impl Restarts {
    /// A worker ended: how long to wait before the next.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        let young = lived < LIVELY;
        self.paused = if young { (self.paused * 2).clamp(FIRST, LAST) } else { Duration::ZERO };
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_second_until_a_worker_lives() {
        let mut restarts = Restarts::default();
        let pauses: Vec<_> = (0..9).map(|_| restarts.after(Duration::ZERO).as_millis()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert_eq!(restarts.after(LIVELY), Duration::ZERO);
        assert_eq!(restarts.after(Duration::ZERO), FIRST);
    }
}
