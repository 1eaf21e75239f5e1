//! The gate: the running instance that carries the mappings of one cluster.
//!
//! It is a loop: observe (its state file, the CLI's requests, what Docker or its DNS tell of the nodes, what the Kubernetes
//! API server tells of Services and pods), decide ([`portgate_core::table::build`]), apply (to the relay, and to the kernel
//! over it). Everything that happens is an event into that loop; nothing else changes what the relay does.

#[cfg(target_os = "linux")]
mod admission;
mod conversation;
mod gate;
mod informer;
mod observer;
#[cfg(target_os = "linux")]
mod overlay;
#[cfg(not(target_os = "linux"))]
#[path = "overlay_elsewhere.rs"]
mod overlay;
mod plane;
mod report;
mod resolve;
mod run;
mod server;
mod settings;
mod silent;
mod sockets;
mod store;
mod streams;

pub mod client;
pub mod door;
#[doc(hidden)]
pub mod fuzzing;
pub mod leftovers;
pub mod own;
pub mod paths;
pub mod probe;
pub mod worker;

pub use portgate_relay::Limits;
pub use run::{Ending, GateError, run};
pub use settings::{HostPlace, Place, ProcessPlace, Settings};
pub use sockets::ListenError;
pub use store::{Store, StoreError};
