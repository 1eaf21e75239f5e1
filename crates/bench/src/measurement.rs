//! What is measured on a path.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::load::{self, Direction, Window};
use crate::path::{Path, Route};
use crate::results::Reading;
use crate::server::Meter;
use crate::service::Service;

/// Sizes of datagrams, in bytes: a small one, one that fills an Ethernet frame, and one that has to be fragmented.
pub(crate) const DATAGRAMS: [usize; 3] = [64, 1200, 8192];

/// How many keep-alive connections.
pub(crate) const CONNECTIONS: [usize; 2] = [32, 256];

/// How many streams at a time.
pub(crate) const STREAMS: [usize; 2] = [1, 8];

/// How many clients send a datagram each, and wait for it.
pub(crate) const CLIENTS: usize = 32;

/// The size of what they send: that which fills an Ethernet frame.
const ROUND_TRIP: usize = DATAGRAMS[1];

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Measurement {
    /// TCP throughput of so many streams.
    Tcp(usize, Direction),
    /// Datagrams of this size, as many as one client can send.
    Udp(usize),
    /// Datagrams there and back.
    RoundTrips,
    /// New connections.
    Connections,
    /// HTTP requests over so many connections.
    Http(usize),
}

impl Measurement {
    /// Every measurement, in the order in which they are made.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        let tcp = STREAMS
            .into_iter()
            .flat_map(|streams| [Direction::Up, Direction::Down].map(|direction| Self::Tcp(streams, direction)));
        let http = CONNECTIONS.map(Self::Http);
        tcp.chain(http).chain([Self::Connections, Self::RoundTrips]).chain(DATAGRAMS.map(Self::Udp))
    }

    /// Whether a quick run has it: what it leaves out is more of the same.
    pub(crate) fn is_quick(self) -> bool {
        !matches!(self, Self::Tcp(8, _) | Self::Http(256) | Self::Udp(64))
    }

    fn service(self) -> Service {
        match self {
            Self::Tcp(_, Direction::Up) => Service::Sink,
            Self::Tcp(_, Direction::Down) => Service::Source,
            Self::Udp(_) => Service::Datagrams,
            Self::RoundTrips => Service::Echo,
            Self::Connections => Service::Ping,
            Self::Http(_) => Service::Http,
        }
    }

    /// Whether a path can be measured so.
    pub(crate) fn fits(self, path: Path) -> bool {
        path.carries(self.service())
    }

    /// Measures once; `None` if the route has no such service.
    pub(crate) async fn make(
        self,
        route: &Route,
        window: Window,
        meter: &mut Meter,
    ) -> anyhow::Result<Option<Reading>> {
        let Some(address) = route.to(self.service()) else { return Ok(None) };
        let reading = match self {
            Self::Tcp(streams, direction) => load::throughput(address, direction, streams, window, meter).await,
            Self::Udp(size) => load::datagrams(address, size, window, meter).await,
            Self::RoundTrips => load::round_trips(address, CLIENTS, ROUND_TRIP, window).await,
            Self::Connections => load::connections(address, window).await,
            Self::Http(connections) => load::http(address, connections, window).await,
        };
        reading.map(Some)
    }
}

/// The name in commands and JSON: `tcp-1-up`.
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(streams, Direction::Up) => write!(f, "tcp-{streams}-up"),
            Self::Tcp(streams, Direction::Down) => write!(f, "tcp-{streams}-down"),
            Self::Udp(size) => write!(f, "udp-{size}"),
            Self::RoundTrips => f.write_str("udp-round-trips"),
            Self::Connections => f.write_str("connections"),
            Self::Http(connections) => write!(f, "http-{connections}"),
        }
    }
}

impl Serialize for Measurement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
