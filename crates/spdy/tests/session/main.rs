//! Sessions from outside: against recordings, against one another, and against noise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests, and their helpers")]

mod hostile;
mod pair;
mod random;
mod recorded;
mod recording;
mod wire;
