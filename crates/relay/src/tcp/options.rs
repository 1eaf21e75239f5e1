//! What is set on the sockets of connections.

use std::io;
use std::time::Duration;

use socket2::{Socket, TcpKeepalive};

/// A silent connection is asked after this time whether it still exists.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
/// It is asked again at this interval,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// and given up after this many questions without an answer: two minutes after its last sign of life.
#[cfg(not(windows))]
const KEEPALIVE_PROBES: u32 = 4;

/// Whether accepted connections have what was set on their listener, so that it is set once and not for each of them.
pub(super) const INHERITED: bool = cfg!(target_os = "linux");

/// Sends small messages at once, and finds out if the other end vanishes.
pub(crate) fn configure(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL);
    #[cfg(not(windows))]
    let keepalive = keepalive.with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)
}
