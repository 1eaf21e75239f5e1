//! Free ports of this machine.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;

use anyhow::Context as _;

use crate::path::{Path, Route};
use crate::service::Service;

/// Below those from which the kernel takes one for each connection, and away from the node's own.
const USABLE: Range<u16> = 10_000..30_000;

/// Hands out ports that nobody listens on, none of them twice.
#[derive(Debug)]
pub(crate) struct Ports {
    left: Range<u16>,
}

impl Ports {
    /// Begins somewhere that depends on this process, so that two of its kind do not get in each other's way.
    pub(crate) fn new() -> Self {
        let span = u32::from(USABLE.end - USABLE.start) / 2;
        let offset = u16::try_from(std::process::id().wrapping_mul(331) % span).unwrap_or_default();
        Self { left: USABLE.start + offset..USABLE.end }
    }

    /// A free port.
    pub(crate) fn next(&mut self) -> anyhow::Result<u16> {
        self.left.by_ref().find(|&port| is_free(port)).context("no port is free")
    }

    /// Some free ports in a row, as `FIRST-LAST`.
    pub(crate) fn range(&mut self, count: u16) -> anyhow::Result<String> {
        let (mut first, mut length) = (self.next()?, 1);
        while length < count {
            let port = self.next()?;
            if port == first + length {
                length += 1;
            } else {
                (first, length) = (port, 1);
            }
        }
        Ok(format!("{first}-{}", first + (length - 1)))
    }

    /// A free port for each service that the path carries.
    pub(crate) fn route(&mut self, path: Path) -> anyhow::Result<Route> {
        let mut ports = BTreeMap::new();
        for service in Service::ALL.into_iter().filter(|&service| path.carries(service)) {
            ports.insert(service, self.next()?);
        }
        Ok(Route::local(ports))
    }
}

fn is_free(port: u16) -> bool {
    let addresses: [SocketAddr; 2] = [(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::LOCALHOST, port).into()];
    let taken = |outcome: io::Result<()>| outcome.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    !addresses
        .iter()
        .any(|address| taken(TcpListener::bind(address).map(drop)) || taken(UdpSocket::bind(address).map(drop)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice_or_while_it_is_taken() {
        let mut ports = Ports::new();
        let first = [ports.next().unwrap(), ports.next().unwrap()];
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.left.start)).ok();
        let next = ports.next().unwrap();
        assert!(!first.contains(&next));
        assert!(taken.is_none_or(|taken| taken.local_addr().unwrap().port() != next));
    }

    #[test]
    fn a_range_begins_anew_after_a_port_that_is_taken() {
        let mut ports = Ports::new();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports.left.start + 5)).ok();
        let range = ports.range(20).unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, last): (u16, u16) = (first.parse().unwrap(), last.parse().unwrap());
        assert_eq!(last - first, 19);
        assert!(taken.is_none_or(|taken| !(first..=last).contains(&taken.local_addr().unwrap().port())));
    }
}
