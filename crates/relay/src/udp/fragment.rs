//! Datagrams larger than a packet.

use std::io;
use std::net::UdpSocket;

/// Undoes what [`quinn_udp::UdpSocketState::new`] does for QUIC's sake: it forbids IP fragmentation, so that a datagram
/// larger than the MTU could not be sent at all, and has each packet's time of arrival noted.
///
/// With `IP_PMTUDISC_DONT` no packet carries the don't-fragment bit, so that a smaller MTU further on needs no answer, and
/// an ICMP "fragmentation needed" is no error of the socket.
#[cfg(target_os = "linux")]
pub(super) fn allow(socket: &UdpSocket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    use rustix::net::sockopt as options;

    options::set_ip_mtu_discover(socket, options::Ipv4PathMtuDiscovery::DONT)?;
    if socket.local_addr()?.is_ipv6() {
        options::set_ipv6_mtu_discover(socket, options::Ipv6PathMtuDiscovery::DONT)?;
        setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
    }
    setsockopt(socket, sockopt::ReceiveTimestampns, &false)?;
    Ok(())
}

/// Undoes what [`quinn_udp::UdpSocketState::new`] does for QUIC's sake: it forbids IP fragmentation, so that a datagram
/// larger than the MTU could not be sent at all.
#[cfg(target_vendor = "apple")]
pub(super) fn allow(socket: &UdpSocket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};

    if socket.local_addr()?.is_ipv6() {
        setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
    } else {
        setsockopt(socket, sockopt::IpDontFrag, &false)?;
    }
    Ok(())
}

/// Fragmentation stays as the system has it.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
#[expect(clippy::unnecessary_wraps, reason = "the signature of the others")]
pub(super) fn allow(_socket: &UdpSocket) -> io::Result<()> {
    Ok(())
}
