//! What a gate reports of its mappings: the content of `portgate ls`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::mapping::{Local, Target};
use crate::table::{Backend, NoBackend};

/// Where a gate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// A container on the cluster's network, with published ports.
    Published,
    /// A plain local process.
    Process,
}

impl Placement {
    /// The name in listings and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Process => "process",
        }
    }
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Datapath {
    /// Through the gate's userspace.
    Relay,
}

impl Datapath {
    /// The name in listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
        }
    }
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
    /// Its gate is stopped, and so it does not listen.
    Stopped,
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
    /// How bytes travel.
    pub datapath: Datapath,
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
