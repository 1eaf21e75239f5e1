//! The addresses that lead to this machine: no mapping leads there.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::SockaddrStorage;
use portgate_core::table::{Forbidden, OwnAddresses};
#[cfg(target_os = "linux")]
use portgate_kernel::AddressWatch;
use tokio::time::Instant;

use crate::settings::Place;

/// How soon the addresses are read again where nobody tells of their changes.
const AGAIN: Duration = Duration::from_secs(5);

/// The IPv4 routes of a network namespace.
const ROUTES: &str = "/proc/net/route";

/// The addresses of the interfaces of this network namespace, and their networks' broadcast addresses.
pub fn addresses(of: Forbidden) -> io::Result<OwnAddresses> {
    let mut own = OwnAddresses::default();
    for interface in getifaddrs()? {
        own.extend(interface.address.as_ref().and_then(ip).map(|address| (address, of)));
        own.extend(interface.broadcast.as_ref().and_then(ip).map(|address| (address, Forbidden::Broadcast)));
    }
    Ok(own)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

/// Follows the addresses of the gate's own network namespace.
pub(crate) struct Own {
    /// What they are to the gate.
    of: Forbidden,
    addresses: OwnAddresses,
    /// When to read them again, where nobody tells of their changes.
    watch: Result<AddressWatch, Instant>,
}

impl Own {
    /// Reads the addresses, and follows them from now on. A plain process has none that are forbidden: it leads to
    /// others of its machine, or through the Kubernetes API server.
    pub(crate) fn start(place: &Place) -> io::Result<Option<Self>> {
        let of = match place {
            Place::Process(_) => return Ok(None),
            Place::Published(_) => Forbidden::Gate,
            Place::Host(_) => Forbidden::Host,
        };
        // Watched before they are read, or a change in between would be missed.
        let mut own = Self { of, addresses: OwnAddresses::default(), watch: watch() };
        own.read()?;
        Ok(Some(own))
    }

    /// The addresses, and those that the CLI has told.
    pub(crate) fn with(&self, told: &OwnAddresses) -> OwnAddresses {
        let mut all = self.addresses.clone();
        all.extend(told.iter());
        all
    }

    /// Waits until the addresses are others. Cancel-safe.
    async fn changed(&mut self) {
        loop {
            self.notice().await;
            let before = self.addresses.clone();
            match self.read() {
                Ok(()) if self.addresses == before => {}
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot read this machine's addresses; what is known stays");
                    self.watch = Err(Instant::now() + AGAIN);
                }
            }
        }
    }

    /// Waits until the addresses may be others.
    async fn notice(&mut self) {
        match &mut self.watch {
            Ok(watch) => {
                if let Err(error) = watch.changed().await {
                    tracing::warn!(%error, "cannot follow this machine's addresses; they are read again and again");
                    self.watch = Err(Instant::now() + AGAIN);
                }
            }
            Err(again) => {
                tokio::time::sleep_until(*again).await;
                self.watch = watch();
            }
        }
    }

    fn read(&mut self) -> io::Result<()> {
        let mut read = addresses(self.of)?;
        if self.of == Forbidden::Gate {
            // A container on an internal network has no gateway, and a system without `/proc` no such container.
            let routes = std::fs::read_to_string(ROUTES).unwrap_or_default();
            read.extend(gateways(&routes).map(|address| (IpAddr::V4(address), Forbidden::Gateway)));
        }
        self.addresses = read;
        Ok(())
    }
}

/// Waits until the addresses are others, where they are followed. Cancel-safe.
pub(crate) async fn changed(own: &mut Option<Own>) {
    match own {
        Some(own) => own.changed().await,
        None => std::future::pending().await,
    }
}

fn watch() -> Result<AddressWatch, Instant> {
    AddressWatch::new().map_err(|error| {
        tracing::warn!(%error, "cannot follow this machine's addresses; they are read again and again");
        Instant::now() + AGAIN
    })
}

/// The gateways in the kernel's list of IPv4 routes: the third column, in hexadecimal and in the machine's byte order.
fn gateways(routes: &str) -> impl Iterator<Item = Ipv4Addr> {
    let column = |line: &str| u32::from_str_radix(line.split_whitespace().nth(2)?, 16).ok();
    let addresses = routes.lines().skip(1).filter_map(column).map(|bits| Ipv4Addr::from(bits.to_ne_bytes()));
    addresses.filter(|address| !address.is_unspecified())
}

/// Where nobody tells of changes, they are looked for.
#[cfg(not(target_os = "linux"))]
struct AddressWatch;

#[cfg(not(target_os = "linux"))]
impl AddressWatch {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn changed(&mut self) -> io::Result<()> {
        tokio::time::sleep(AGAIN).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_this_machine_are_its_own() {
        let loopback = addresses(Forbidden::Host).unwrap();
        assert!(loopback.iter().any(|(address, why)| address.is_loopback() && why == Forbidden::Host), "{loopback:?}");
    }

    #[test]
    fn the_gateway_is_in_the_list_of_routes() {
        let route = |destination: [u8; 4], gateway: [u8; 4]| {
            let [destination, gateway] = [destination, gateway].map(u32::from_ne_bytes);
            format!("eth0\t{destination:08X}\t{gateway:08X}\t0003\t0\t0\t0\t00000000\t0\t0\t0\n")
        };
        let header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        let routes = [header, &route([0; 4], [172, 18, 0, 1]), &route([172, 18, 0, 0], [0; 4])].concat();
        assert_eq!(gateways(&routes).collect::<Vec<_>>(), [Ipv4Addr::new(172, 18, 0, 1)]);
        assert_eq!(gateways("").count(), 0);
    }
}
