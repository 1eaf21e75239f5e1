//! Ports that are free on this machine.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::Context as _;

/// Below those from which the kernel takes one for each client.
const PORTS: std::ops::Range<u32> = 10_000..30_000;

/// Hands out ports that nobody listened on a moment ago, each once.
pub(crate) struct Ports {
    next: u32,
}

impl Ports {
    pub(crate) fn new() -> Self {
        // Another process, whose id is not far away, starts elsewhere.
        Self { next: std::process::id().wrapping_mul(331) % (PORTS.end - PORTS.start) }
    }

    pub(crate) fn take(&mut self) -> anyhow::Result<u16> {
        for _ in PORTS {
            let port = u16::try_from(PORTS.start + self.next)?;
            self.next = (self.next + 1) % (PORTS.end - PORTS.start);
            if is_free(port) {
                return Ok(port);
            }
        }
        None.context("no port of this machine is free")
    }
}

fn is_free(port: u16) -> bool {
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    let is_taken = |outcome: io::Result<()>| outcome.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    let taken =
        |address| is_taken(TcpListener::bind(address).map(drop)) || is_taken(UdpSocket::bind(address).map(drop));
    !addresses.into_iter().any(taken)
}
