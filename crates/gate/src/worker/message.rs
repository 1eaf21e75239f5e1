//! What the supervisor and the worker say to each other.

use std::time::Duration;

use portgate_core::mapping::Local;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::Limits;
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
    /// Report the counters.
    Count,
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
}

/// From the worker to the supervisor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// A mapping could not be opened.
    Refused(Refused),
    /// What each open mapping carried.
    Counters(Vec<(Local, Counters)>),
    /// All orders before this mark are obeyed.
    Reached { mark: u64 },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Limits")]
struct LimitsForm {
    connect_timeout: Duration,
    udp_idle: Duration,
    udp_sessions: usize,
    drain: Duration,
}
