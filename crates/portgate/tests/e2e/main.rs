//! portgate from end to end: the real program, a real Docker engine, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod choosing;
mod client;
mod close;
mod demo;
mod down;
mod engine;
mod engine_restart;
mod flows;
mod gate_restart;
mod help;
mod lifecycle;
mod listing;
mod load;
mod newer;
mod open;
mod recovery;
mod refusals;
mod restrictions;
mod support;
mod taken;
mod testing;
mod together;
mod traffic;
mod unproven;
