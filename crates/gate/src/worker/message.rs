//! What the supervisor and the worker say to each other.

use std::num::NonZero;
use std::time::Duration;

use portgate_core::mapping::Local;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::{Limits, Round, Urgency, Wish};
use serde::{Deserialize, Serialize};

use super::{Identity, Refused};

/// From the supervisor to the worker. Orders are obeyed one after another.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The first one: how to work.
    Setup(Setup),
    /// Serve the sockets that come with it.
    Open {
        local: Local,
        resolution: Resolution,
        /// How many should have come.
        sockets: usize,
    },
    /// Lead a mapping elsewhere.
    Route { local: Local, resolution: Resolution },
    /// Close mappings.
    Close { locals: Vec<Local> },
    /// Report the counters, in as few reports as their limit allows.
    Count,
    /// The resolution that was asked for as this round has ended, and the routes are swapped.
    Refreshed { round: u64 },
    /// Report that all orders before this one are obeyed.
    Mark { number: u64 },
    /// Let open connections finish, and end.
    Drain,
}

/// How a worker is to work.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) identity: Option<Identity>,
    #[serde(with = "LimitsForm")]
    pub(super) limits: Limits,
    /// How old a resolution may be for a new connection to rely on it; `None` if the routes are always current.
    pub(super) freshness: Option<Duration>,
}

/// From the worker to the supervisor, which asks for each of them. Only a wish comes unasked: one of each urgency, until
/// it is fulfilled.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// A mapping could not be opened.
    Refused(Refused),
    /// What some of the open mappings carried.
    Counters(Vec<(Local, Counters)>),
    /// Traffic needs current addresses.
    Wish {
        round: u64,
        /// Whether a backend failed.
        failed: bool,
    },
    /// All orders before this mark are obeyed.
    Reached { mark: u64 },
}

impl From<Wish> for Report {
    fn from(Wish { round: Round(round), urgency }: Wish) -> Self {
        Self::Wish { round, failed: urgency == Urgency::Failed }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsForm {
    connect_timeout: Duration,
    udp_idle: Duration,
    udp_sessions: usize,
    drain: Duration,
    threads: NonZero<usize>,
}
