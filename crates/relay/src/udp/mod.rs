//! UDP: one session for each client address, each with a socket of its own towards a backend.

mod activity;
mod batch;
mod fragment;
mod listener;
mod session;
mod socket;
mod table;

pub(crate) use batch::Batch;
pub(crate) use listener::Listener;
