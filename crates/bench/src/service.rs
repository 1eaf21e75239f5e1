//! What the node serves, and where.

use portgate_core::port::Protocol;
use serde::Serialize;

/// A service of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Service {
    /// TCP: takes all bytes and counts them.
    Sink,
    /// TCP: sends bytes until nobody wants them.
    Source,
    /// TCP: answers one byte with one byte, and closes.
    Ping,
    /// TCP: answers each HTTP request alike, and keeps the connection.
    Http,
    /// UDP: takes all datagrams and counts them.
    Datagrams,
    /// UDP: sends each datagram back.
    Echo,
}

impl Service {
    /// Every service that is reached through proxies.
    pub(crate) const ALL: [Self; 6] = [Self::Sink, Self::Source, Self::Ping, Self::Http, Self::Datagrams, Self::Echo];

    /// Its port on the node.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Sink => 30_001,
            Self::Source => 30_002,
            Self::Ping => 30_003,
            Self::Http => 30_004,
            Self::Datagrams => 30_005,
            Self::Echo => 30_006,
        }
    }

    /// Its protocol.
    pub(crate) const fn protocol(self) -> Protocol {
        match self {
            Self::Sink | Self::Source | Self::Ping | Self::Http => Protocol::Tcp,
            Self::Datagrams | Self::Echo => Protocol::Udp,
        }
    }
}

/// Where the node tells what it has received. No proxy stands before it.
pub(crate) const METER: u16 = 30_000;

/// The one request that is made of [`Service::Http`].
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// What ends a request.
pub(crate) const REQUEST_END: &[u8] = b"\r\n\r\n";

/// The one answer of [`Service::Http`], always of this length.
pub(crate) const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world\n";

/// How much one system call moves at most where throughput is measured, in bytes.
pub(crate) const CHUNK: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_has_the_length_that_it_says() {
        let body = RESPONSE.windows(4).position(|end| end == REQUEST_END).map(|at| RESPONSE.len() - at - 4);
        assert_eq!(body, Some(13));
    }
}
