//! A UDP socket that receives and sends in batches.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use quinn_udp::{Transmit, UdpSocketState};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::batch::{Batch, Run};
use super::fragment;
use crate::backoff::is_exhaustion;

/// A socket, and what is known of the kernel's abilities on it.
#[derive(Debug)]
pub(crate) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    /// Whether it is bound to no particular address, so that an answer has to name the one it comes from.
    wildcard: bool,
}

/// Where a socket sends to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Destination {
    /// The address that the socket is connected to.
    Connected(SocketAddr),
    /// Some address, from one of this machine's addresses or from that which the socket is bound to.
    Address { to: SocketAddr, from: Option<IpAddr> },
}

/// What the kernel took of a run. The rest is lost.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) datagrams: usize,
    pub(super) bytes: usize,
    /// The other end cannot be reached, as an ICMP message said.
    pub(super) error: Option<io::Error>,
}

impl Socket {
    /// Takes a non-blocking socket, bound or connected.
    pub(crate) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        fragment::allow(&socket)?;
        let wildcard = socket.local_addr()?.ip().is_unspecified();
        Ok(Self { io: UdpSocket::from_std(socket)?, state, wildcard })
    }

    pub(super) fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Polls for datagrams.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(cx)
    }

    /// Waits for datagrams, or for the error that an ICMP message makes: such a socket is not readable but erroneous.
    pub(super) async fn incoming(&self) -> io::Result<Interest> {
        let ready = self.io.ready(Interest::READABLE | Interest::ERROR).await?;
        Ok(if ready.is_readable() { Interest::READABLE } else { Interest::ERROR })
    }

    /// Receives what made the socket ready. An empty batch is possible.
    pub(super) fn receive(&self, interest: Interest, batch: &mut Batch) -> io::Result<()> {
        batch.clear();
        let outcome = self.io.try_io(interest, || {
            batch.fill(|slots, metas| self.state.recv((&self.io).into(), slots, metas))?;
            // A call that leaves buffers empty has found the end of the queue. To say so saves the call that would find
            // it again. Only Linux receives more than one datagram a call, so only there is a partial batch a proof.
            let drained = cfg!(target_os = "linux") && !batch.is_full();
            if drained { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            outcome => outcome,
        }
    }

    /// Sends a run of datagrams, in one call if the kernel can. Never waits: what does not fit into the socket's buffer is
    /// dropped, as any hop of a network would.
    pub(super) fn send(&self, run: &Run<'_>, destination: Destination) -> Sent {
        if run.can_be_joined() && self.state.max_gso_segments() > 1 {
            match self.transmit(run.contents, Some(run.stride), destination) {
                Ok(()) => return Sent { datagrams: run.count(), bytes: run.contents.len(), error: None },
                Err(error) if is_full(&error) => return Sent::default(),
                Err(error) if is_unreachable(&error) => return Sent { error: Some(error), ..Sent::default() },
                // The path has a small MTU, or the network card cannot: one by one will do.
                Err(_) => {}
            }
        }
        self.send_singly(run, destination)
    }

    fn send_singly(&self, run: &Run<'_>, destination: Destination) -> Sent {
        let mut sent = Sent::default();
        for datagram in run.datagrams() {
            let outcome = match destination {
                Destination::Connected(_) => SockRef::from(&self.io).send(datagram).map(|_| ()),
                Destination::Address { .. } => self.transmit(datagram, None, destination),
            };
            match outcome {
                Ok(()) => {
                    sent.datagrams += 1;
                    sent.bytes += datagram.len();
                }
                Err(error) if is_unreachable(&error) => {
                    sent.error = Some(error);
                    break;
                }
                Err(_) => {}
            }
        }
        sent
    }

    fn transmit(&self, contents: &[u8], segment_size: Option<usize>, destination: Destination) -> io::Result<()> {
        let (destination, src_ip) = match destination {
            Destination::Connected(to) => (to, None),
            Destination::Address { to, from } => (to, from),
        };
        self.state.try_send((&self.io).into(), &Transmit { destination, ecn: None, contents, segment_size, src_ip })
    }
}

/// Whether an error says that there is no room now.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || is_exhaustion(error)
}

/// Whether an error says that the other end cannot be reached, and not that this datagram cannot be sent.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, PermissionDenied};
    [ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, PermissionDenied].contains(&error.kind())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use rustix::net::sockopt::{Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, ip_mtu_discover, ipv6_mtu_discover};

    use super::*;

    fn socket(address: &str) -> Socket {
        let socket = std::net::UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        Socket::new(socket).unwrap()
    }

    #[tokio::test]
    async fn datagrams_may_be_fragmented() {
        let ipv4 = ip_mtu_discover(&socket("127.0.0.1:0").io).unwrap();
        let ipv6 = ipv6_mtu_discover(&socket("[::1]:0").io).unwrap();
        assert_eq!((ipv4, ipv6), (Ipv4PathMtuDiscovery::DONT, Ipv6PathMtuDiscovery::DONT));
    }
}
