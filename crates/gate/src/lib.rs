//! The gate: the running instance that carries the mappings of one cluster.
//!
//! It is a loop: observe (its state file, the CLI's requests, the addresses that names resolve to), decide
//! ([`portgate_core::table::build`]), apply (to the relay). Everything that happens is an event into that loop; nothing
//! else changes what the relay does.

mod gate;
mod resolve;
mod run;
mod server;
mod sockets;
mod store;

pub mod client;
pub mod paths;
pub mod probe;

pub use portgate_relay::Limits;
pub use run::{GateError, Settings, run};
pub use sockets::ListenError;
pub use store::{Store, StoreError};
