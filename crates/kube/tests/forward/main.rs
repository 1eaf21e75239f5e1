//! Streams to pods, through a server that speaks the API over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod lab;
#[cfg(target_os = "linux")]
mod memory;
mod outages;
mod pod;
mod refusals;
mod storms;
mod streams;
mod transports;
