//! portgate from end to end: the real program, a real Docker engine, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod flows;
mod open;
mod support;
mod together;
mod traffic;
mod unproven;
mod recovery;
