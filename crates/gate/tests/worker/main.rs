//! A worker process, with real sockets and backends on loopback.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod life;
mod rights;
mod stage;
mod traffic;
