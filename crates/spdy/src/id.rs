//! Numbers of streams and of pings.

use std::fmt;

/// Which end a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has the odd numbers.
    Client,
    /// It has the even numbers.
    Server,
}

impl Role {
    /// Whether this end gives out `number`.
    pub(crate) fn owns(self, number: u32) -> bool {
        (number % 2 == 1) == (self == Self::Client)
    }

    /// The first number that this end gives out.
    pub(crate) fn first(self) -> u32 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }
}

/// A stream, by the number that it has in its session: 1 to 2^31 - 1, odd if the client opened it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u32);

impl StreamId {
    /// The greatest number that a stream may have.
    const MAX: u32 = 0x7fff_ffff;

    /// A stream's number, unless it is 0 or too great.
    pub fn new(number: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&number).then_some(Self(number))
    }

    /// The number that a frame names. Its highest bit is reserved, and means nothing.
    pub(crate) fn from_wire(number: u32) -> Option<Self> {
        Self::new(number & Self::MAX)
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.0)
    }
}

/// A ping of this end, by its number: odd if this is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PingId(u32);

impl PingId {
    pub(crate) fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ping {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_has_the_odd_numbers_and_the_server_the_even_ones() {
        assert!(Role::Client.owns(Role::Client.first()) && !Role::Client.owns(Role::Server.first()));
        assert!(Role::Server.owns(Role::Server.first()) && !Role::Server.owns(Role::Client.first()));
    }

    #[test]
    fn a_stream_has_a_number_of_31_bits_other_than_0() {
        assert_eq!(StreamId::new(0), None);
        assert_eq!(StreamId::new(0x8000_0000), None);
        assert_eq!(StreamId::from_wire(0x8000_0000), None);
        assert_eq!(StreamId::from_wire(0x8000_0005), StreamId::new(5));
        assert_eq!(StreamId::new(u32::MAX >> 1).unwrap().to_string(), "stream 2147483647");
    }
}
