//! The double, spoken to as a client speaks to Kubernetes: over TLS, through real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod channels;
mod client;
mod faults;
mod hostile;
mod objects;
mod pod;
mod record;
mod remote;
mod replay;
mod spdy;
mod watches;
