//! TCP: accept, find a backend, carry bytes both ways until both ends have said all they wanted.

mod congestion;
mod connection;
mod dial;
mod flow;
mod listener;
mod options;
mod peer;
#[cfg_attr(target_os = "linux", path = "pipe.rs")]
#[cfg_attr(not(target_os = "linux"), path = "no_pipe.rs")]
mod pipe;
mod supplies;

pub(crate) use congestion::Congestion;
pub(crate) use listener::Listener;
pub(crate) use options::configure;
pub use peer::Peer;
pub(crate) use supplies::Supplies;
