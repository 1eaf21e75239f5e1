//! What a gate reports of its mappings: the content of `portgate ls`.

use std::fmt;
use std::ops::AddAssign;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mapping::{Local, Target};
use crate::table::{Backend, NoBackend};

/// Where a gate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// A container in the host's network.
    Host,
    /// A container on the cluster's network, with published ports.
    Published,
    /// A plain local process.
    Process,
}

impl Placement {
    /// The name in listings and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Published => "published",
            Self::Process => "process",
        }
    }

    /// The placement of this name, the inverse of [`Placement::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Host, Self::Published, Self::Process].into_iter().find(|placement| placement.name() == name)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// Through the kernel alone (nftables), without a hop in userspace.
    Kernel,
    /// Through the gate's userspace.
    Relay,
}

impl Datapath {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Relay => "relay",
        }
    }

    /// The datapath of this name, the inverse of [`Datapath::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Kernel, Self::Relay].into_iter().find(|datapath| datapath.name() == name)
    }
}

/// Why a mapping is carried by the relay, and not by the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum RelayReason {
    /// The gate was made so.
    #[error("asked for")]
    Asked,
    /// A gate in published placement gets the right to programme its kernel only if it is asked for.
    #[error("kernel not asked for")]
    NotAsked,
    /// The cluster's network has no interface on the host, or it is not known yet.
    #[error("the cluster's network has no bridge here")]
    NoBridge,
    /// The gate is a process, and has no say in the kernel.
    #[error("a process cannot programme the kernel")]
    Process,
    /// The kernel did not take the gate's rules.
    #[error("{message}")]
    Refused {
        /// The operation, and the operating system's words.
        message: String,
    },
    /// The mapping listens on no IPv4 address.
    #[error("IPv6")]
    LocalIpv6,
    /// A backend has an IPv6 address.
    #[error("the backend has IPv6 only")]
    BackendIpv6,
    /// There is nowhere to lead to, so the relay refuses.
    #[error("no backend")]
    NoBackend,
    /// Its port is another program's, or the gate is out of descriptors.
    #[error("not listening")]
    NotListening,
    /// The gate does not run.
    #[error("stopped")]
    Stopped,
}

/// Whether a mapping works, as far as the gate knows without sending anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum MappingState {
    /// It listens and has at least one backend.
    Open,
    /// It listens, but leads nowhere for now.
    NoBackend {
        /// Why.
        #[serde(flatten)]
        why: NoBackend,
    },
    /// It does not listen: another program has its port, or the gate has run out of descriptors. It is tried again.
    NotListening {
        /// Why, in the operating system's words.
        message: String,
    },
    /// Its gate is stopped, and so it does not listen.
    Stopped,
    /// Its gate runs, and does not say.
    Unknown {
        /// Why not.
        message: String,
    },
}

/// One mapping as its gate sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingStatus {
    /// Where the host listens.
    pub local: Local,
    /// Where it leads.
    pub target: Target,
    /// What the target resolves to now, best first.
    pub backends: Vec<Backend>,
    /// How bytes travel. Of a mapping that the kernel carries, IPv6 and clients on other machines use the relay still.
    pub datapath: Datapath,
    /// Why they do not travel through the kernel alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay_because: Option<RelayReason>,
    /// Whether it works.
    #[serde(flatten)]
    pub state: MappingState,
    /// What it carried since the gate started.
    pub counters: Counters,
}

/// What one mapping carried since its gate started. `in` is from the client to the backend, `out` the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// TCP connections that are open now.
    pub connections_open: u64,
    /// TCP connections that reached a backend.
    pub connections_total: u64,
    /// TCP connections for which no backend answered.
    pub connections_failed: u64,
    /// Payload from clients to backends.
    pub bytes_in: u64,
    /// Payload from backends to clients.
    pub bytes_out: u64,
    /// UDP datagrams from clients to backends.
    pub datagrams_in: u64,
    /// UDP datagrams from backends to clients.
    pub datagrams_out: u64,
    /// UDP datagrams that could not be passed on, in either direction.
    pub datagrams_dropped: u64,
    /// UDP sessions, one for each client address, that are open now.
    pub sessions_open: u64,
    /// UDP sessions since the start.
    pub sessions_total: u64,
    /// UDP sessions that ended early to make room for another.
    pub sessions_evicted: u64,
    /// UDP sessions that ended because the backend refused them (ICMP port unreachable).
    pub sessions_refused: u64,
    /// The newest failure of a connection or session.
    pub last_error: Option<LastError>,
}

impl AddAssign for Counters {
    /// Adds what another datapath or another process carried for the same mapping. A sum stays at the largest number
    /// instead of wrapping. The later of two failures stays.
    fn add_assign(&mut self, other: Self) {
        let add = |counter: &mut u64, other: u64| *counter = counter.saturating_add(other);
        add(&mut self.connections_open, other.connections_open);
        add(&mut self.connections_total, other.connections_total);
        add(&mut self.connections_failed, other.connections_failed);
        add(&mut self.bytes_in, other.bytes_in);
        add(&mut self.bytes_out, other.bytes_out);
        add(&mut self.datagrams_in, other.datagrams_in);
        add(&mut self.datagrams_out, other.datagrams_out);
        add(&mut self.datagrams_dropped, other.datagrams_dropped);
        add(&mut self.sessions_open, other.sessions_open);
        add(&mut self.sessions_total, other.sessions_total);
        add(&mut self.sessions_evicted, other.sessions_evicted);
        add(&mut self.sessions_refused, other.sessions_refused);
        self.last_error = [self.last_error.take(), other.last_error].into_iter().flatten().max_by_key(|error| error.at);
    }
}

/// A failure, and when it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastError {
    /// The gate's clock.
    pub at: Timestamp,
    /// What failed, with the address.
    pub message: String,
}

/// A gate's answer to "how are you".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateStatus {
    /// portgate's version.
    pub version: String,
    /// Where the gate runs.
    pub placement: Placement,
    /// When it started.
    pub started_at: Timestamp,
    /// The revision of its wanted mappings.
    pub revision: u64,
    /// Its mappings, in the order of their local ends.
    pub mappings: Vec<MappingStatus>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_counters_does_not_wrap() {
        let full = || Counters { connections_total: u64::MAX, bytes_in: u64::MAX - 1, ..Counters::default() };
        let mut sum = full();
        sum += full();
        sum += Counters { sessions_open: 1, ..Counters::default() };
        let expected = Counters { bytes_in: u64::MAX, sessions_open: 1, ..full() };
        assert_eq!(sum, expected);
    }

    #[test]
    fn every_counter_is_added() {
        let one: Counters = serde_json::from_value(ones()).unwrap();
        let mut sum = one.clone();
        sum += one;
        let sum = serde_json::to_value(sum).unwrap();
        assert!(sum.as_object().unwrap().values().all(|value| value.is_null() || *value == 2), "{sum}");
    }

    /// The JSON of counters that are all 1.
    fn ones() -> serde_json::Value {
        let mut ones = serde_json::to_value(Counters::default()).unwrap();
        for value in ones.as_object_mut().unwrap().values_mut().filter(|value| !value.is_null()) {
            *value = 1.into();
        }
        ones
    }

    #[test]
    fn the_later_failure_stays() {
        let failed = |second, message: &str| {
            let at = Timestamp::from_second(second).unwrap();
            Counters { last_error: Some(LastError { at, message: message.to_owned() }), ..Counters::default() }
        };
        let mut sum = failed(2, "later");
        sum += failed(1, "earlier");
        assert_eq!(sum, failed(2, "later"));
        sum += failed(2, "newest report");
        assert_eq!(sum, failed(2, "newest report"));
    }
}
