//! The kernel path in networks of the tests' own, with real bytes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests, and their helpers")]

mod carry;
mod change;
mod container;
mod descriptors;
mod end;
mod guard;
mod lab;
mod mend;
mod routes;
#[path = "../../src/sample.rs"]
mod sample;
mod start;
