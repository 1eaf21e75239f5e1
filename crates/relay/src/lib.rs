//! The userspace data plane: carries TCP connections and UDP datagrams from local sockets to backends.
//!
//! A [`Relay`] holds open mappings. Each has its own listening sockets, counters and route, and its own tasks, so that
//! what happens to one mapping is never felt by another. TCP payload moves by `splice(2)` where the kernel has it, UDP
//! in batches with segmentation offload. The sockets arrive bound ([`bind`]): who binds them may be another process.
//!
//! Nothing here resolves names. Traffic raises a [`Demand`], whose other end resolves and swaps routes.

mod backoff;
mod bind;
mod demand;
mod limits;
mod mapping;
mod pool;
mod relay;
mod route;
mod stop;
mod tally;
mod tcp;
mod threads;
mod udp;

pub use backoff::Backoff;
pub use bind::{Bound, bind};
pub use demand::{Demand, Round, Urgency, Wish};
pub use limits::Limits;
pub use relay::Relay;
pub use tally::{Count, Tally};
pub use tcp::Peer;
