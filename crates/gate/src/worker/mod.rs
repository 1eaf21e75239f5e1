//! The relay in a process of its own, without rights.
//!
//! The *supervisor*, this side, has rights and never touches traffic: it binds the listening sockets and keeps them.
//! The *worker* is a child process that gets copies of their descriptors over a Unix socket, and relays bytes with
//! [`portgate_relay::Relay`]. It runs as another user, without capabilities, and cannot get any. If it dies, the
//! sockets stay open in the supervisor, so that connections wait in their backlogs until a new worker takes them.
//!
//! A worker ends when its socket does. One that does not, or that breaks the protocol, is killed. What comes from a worker
//! is checked and bounded, and can harm nothing but the mappings that it serves. [`sandbox`] bounds what its code can do.

#[cfg(target_os = "linux")]
mod channel;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
pub(crate) mod fuzzing;
#[cfg(target_os = "linux")]
mod message;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod restarts;
#[cfg(target_os = "linux")]
pub mod sandbox;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod tally;
#[cfg(target_os = "linux")]
mod wishes;
#[cfg(target_os = "linux")]
mod work;

use std::path::PathBuf;

use portgate_core::mapping::Local;
use portgate_relay::Limits;
use serde::{Deserialize, Serialize};

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Worker, WorkerError, work};
#[cfg(target_os = "linux")]
pub use supervisor::Worker;
#[cfg(target_os = "linux")]
pub use work::{WorkerError, work};

/// How to start a worker, and how it is to work.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The program that calls [`work`]; `/proc/self/exe` for the one that runs. `identity` must be allowed to execute
    /// it.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Who it becomes; `None` leaves it the user that it is started by. A worker that was given an identity refuses to
    /// work if it has any right left.
    pub identity: Option<Identity>,
    /// The relay's limits.
    pub limits: Limits,
}

/// A user and a group, without supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Identity {
    /// The one that owns nothing: 65534 is the kernel's overflow id, everywhere called `nobody`.
    pub const NOBODY: Self = Self { uid: 65534, gid: 65534 };
}

/// What happened to a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEvent {
    /// A worker ended, and another has taken its place, its open mappings, and none of its connections.
    Replaced {
        /// How the first one ended.
        exit: String,
    },
    /// A mapping is closed again, since the worker could not take it.
    Refused(Refused),
}

/// A mapping that the worker could not take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the worker cannot serve {local}: {message}")]
pub struct Refused {
    /// The mapping. Nothing listens for it any more.
    pub local: Local,
    /// Why, in the worker's words.
    pub message: String,
}
