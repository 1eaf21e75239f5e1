//! Connecting to a path.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a blocked call lasts, so that a thread notices that it is to stop.
const BLOCK: Duration = Duration::from_millis(200);

pub(super) fn tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(BLOCK))?;
    stream.set_write_timeout(Some(BLOCK))?;
    Ok(stream)
}

pub(super) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect(address)?;
    socket.set_write_timeout(Some(BLOCK))?;
    Ok(socket)
}

/// Whether a call ended only because it was not to block any longer.
pub(super) fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
