//! A worker process, with real sockets and backends on loopback.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod hostile;
mod life;
mod rights;
mod sandbox;
mod stage;
mod traffic;
mod wishes;
