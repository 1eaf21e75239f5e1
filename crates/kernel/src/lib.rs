//! The Linux kernel data plane: a mapping's packets go from the client to the backend without a hop in userspace.
//!
//! [`Datapath`] holds one nftables table for one gate, and beside it the routes, the settings of the cluster's bridge and
//! the conntrack entries that belong to the gate's mappings. What the table contains is decided without I/O
//! ([`ruleset`], [`elements`], [`plan`]); all of it is spoken by netlink, without any program of the system.
#![cfg(target_os = "linux")]

mod addresses;
mod conntrack;
mod counters;
mod datapath;
pub mod elements;
mod encode;
mod entry;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod identity;
mod interface;
mod listing;
mod mark;
pub mod plan;
mod route;
pub mod ruleset;
#[cfg(test)]
mod sample;
mod setting;
mod socket;
mod statement;
mod table;
mod watch;

pub use addresses::AddressWatch;
pub use datapath::{Datapath, clean};
pub use error::Error;
pub use identity::{Identity, Place};
pub use statement::Statement;
pub use watch::Watch;
