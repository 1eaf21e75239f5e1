//! How long to wait before the next try of something that cannot work for now.

use std::io;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(5);
const LAST: Duration = Duration::from_secs(1);

/// Waits of 5 ms, doubling up to 1 s, until a success.
#[derive(Debug, Default)]
pub struct Backoff {
    waited: Duration,
}

impl Backoff {
    /// Whether nothing has failed since the last success.
    pub fn is_fresh(&self) -> bool {
        self.waited.is_zero()
    }

    /// Something failed once more: how long to wait.
    pub fn failed(&mut self) -> Duration {
        self.waited = (self.waited * 2).clamp(FIRST, LAST);
        self.waited
    }

    /// Something worked.
    pub fn succeeded(&mut self) {
        self.waited = Duration::ZERO;
    }
}

/// Whether this process or this machine has run out of something, so that the other end is not to blame: file
/// descriptors, memory, buffers.
pub(crate) fn is_exhaustion(error: &io::Error) -> bool {
    #[cfg(unix)]
    return rustix::io::Errno::from_io_error(error).is_some_and(|errno| {
        use rustix::io::Errno;
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
    });
    #[cfg(not(unix))]
    return error.kind() == io::ErrorKind::OutOfMemory;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_second_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..10).map(|_| backoff.failed().as_millis()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        assert!(!backoff.is_fresh());
        backoff.succeeded();
        assert!(backoff.is_fresh());
        assert_eq!(backoff.failed(), FIRST);
    }
}
