//! How long to wait before a server is asked again that has failed.

use std::time::Duration;

use tokio::time::Instant;

/// How soon it is asked again: at first, and at last. There is no end to it.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The pauses after one failure after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    /// When the last pause was over.
    until: Instant,
    /// How long the next pause is at most.
    pause: Duration,
}

impl Backoff {
    pub(super) fn new(now: Instant) -> Self {
        Self { until: now, pause: PAUSE.0 }
    }

    /// How long to wait after a failure: twice as long as after the last one, unless all was well for some time. The
    /// random number takes away up to a half, so that not everybody asks at the same time.
    pub(super) fn pause(&mut self, now: Instant, random: u64) -> Duration {
        if now > self.until + PAUSE.1 {
            self.pause = PAUSE.0;
        }
        let half = self.pause / 2;
        let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
        let pause = half + Duration::from_millis(random % millis.saturating_add(1));
        self.until = now + pause;
        self.pause = PAUSE.1.min(self.pause * 2);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_seconds_and_begin_anew_after_a_good_time() {
        let mut now = Instant::now();
        let mut backoff = Backoff::new(now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause = backoff.pause(now, 0);
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 2500, 2500]);
        assert_eq!(backoff.pause(now + Duration::from_secs(6), 0).as_millis(), 50);
    }

    #[test]
    fn chance_makes_a_pause_up_to_twice_as_long() {
        let now = Instant::now();
        let pauses = [0, 25, 50, 51, u64::MAX].map(|random| Backoff::new(now).pause(now, random).as_millis());
        assert!(pauses.iter().all(|pause| (50..=100).contains(pause)), "{pauses:?}");
        assert_eq!(pauses[2], 100);
    }
}
