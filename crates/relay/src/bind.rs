//! Binding the sockets that a mapping listens on.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use portgate_core::port::Protocol;
use socket2::{Domain, Socket, Type};

use crate::tcp::{self, Congestion};

/// Connections that wait to be accepted. The kernel lowers it to `net.core.somaxconn`, 4096 on today's Linux.
const BACKLOG: i32 = 4096;

/// What is asked for of a UDP socket's receive and send buffer, in bytes: a burst of 64 KiB datagrams must fit. The
/// kernel lowers it to `net.core.rmem_max` and `wmem_max`.
const UDP_BUFFER: usize = 4 << 20;

/// A bound, non-blocking socket, not yet in the hands of a runtime.
#[derive(Debug)]
pub enum Bound {
    /// Listens for TCP connections.
    Tcp(TcpListener),
    /// Receives UDP datagrams.
    Udp(UdpSocket),
}

impl Bound {
    /// The address and port that the socket is bound to; the port that the kernel chose, if 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr(),
            Self::Udp(socket) => socket.local_addr(),
        }
    }
}

/// Binds a socket to `address`, and listens if it is TCP.
///
/// What a connection needs is set here as far as accepted connections inherit it from their listener, so that it takes
/// no privilege of the process that accepts them.
///
/// An IPv6 socket serves IPv6 only, so that `0.0.0.0` and `[::]` can be bound side by side.
pub fn bind(address: SocketAddr, protocol: Protocol) -> io::Result<Bound> {
    match protocol {
        Protocol::Tcp => bind_tcp(address).map(Bound::Tcp),
        Protocol::Udp => bind_udp(address).map(Bound::Udp),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM)?;
    // Without it, the port of a listener that had connections would stay taken for a minute (TIME_WAIT). On Windows the
    // same option would let another process steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    tcp::configure(&socket)?;
    // Who comes by another address may have come from far away, and the machine's own choice is made for them.
    if address.ip().is_loopback() {
        Congestion::find().set(&socket);
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM)?;
    enlarge_buffers(&socket, UDP_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Asks for larger buffers. That the kernel grants less, or nothing, is no error.
fn enlarge_buffers(socket: &Socket, bytes: usize) {
    let _ = socket.set_recv_buffer_size(bytes);
    let _ = socket.set_send_buffer_size(bytes);
}

fn socket(address: SocketAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}
