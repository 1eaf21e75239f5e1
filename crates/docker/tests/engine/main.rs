//! Against a real engine. Without one the tests are skipped, and say so; where `CI=true` they fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[cfg(unix)]
mod cable;
mod clusters;
mod files;
mod gates;
#[cfg(unix)]
mod host;
mod images;
mod lab;
mod sweeps;
#[cfg(unix)]
mod watches;
