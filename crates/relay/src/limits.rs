//! What a relay allows itself.

use std::num::NonZero;
use std::thread;
use std::time::Duration;

/// The time-outs and caps of a relay, the same for each of its mappings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long one TCP connection may look for a backend, over all attempts. Default 2 s: longer than a node needs to
    /// get its address back, shorter than most clients wait.
    pub connect_timeout: Duration,
    /// How long a UDP session lives without a datagram in either direction. Default 120 s, as Linux' conntrack.
    pub udp_idle: Duration,
    /// UDP sessions that one mapping holds at a time; a further one takes the place of the longest idle. Default 4096.
    /// Each costs a file descriptor.
    pub udp_sessions: usize,
    /// How long [`Relay::drain`](crate::Relay::drain) lets open TCP connections finish. Default 5 s.
    pub drain: Duration,
    /// The threads that carry traffic, for all mappings together. Default one for each processor that this process may
    /// use. It is found out by reading files, so a process that may read none is told.
    pub threads: NonZero<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(2),
            udp_idle: Duration::from_mins(2),
            udp_sessions: 4096,
            drain: Duration::from_secs(5),
            threads: thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN),
        }
    }
}
