//! portgate from end to end: the real program, a real Docker engine, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod client;
mod close;
mod down;
mod flows;
mod gate_restart;
mod lifecycle;
mod listing;
mod load;
mod open;
mod recovery;
mod restrictions;
mod support;
mod testing;
mod together;
mod traffic;
mod unproven;
