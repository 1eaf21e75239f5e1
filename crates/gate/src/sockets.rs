//! The listening sockets of a mapping.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use portgate_core::mapping::Local;
use portgate_core::status::Placement;
use portgate_relay::Bound;
use rustix::io::Errno;

/// A mapping cannot be listened for.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// The address that was refused.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Binds every address of a mapping, or none.
///
/// A machine without IPv6 has no `[::1]`, which is no reason to refuse a mapping that has an IPv4 address as well.
pub(crate) fn bind(local: &Local, placement: Placement) -> Result<Vec<Bound>, ListenError> {
    let mut sockets = Vec::new();
    for address in addresses(local, placement) {
        match portgate_relay::bind(address, local.protocol) {
            Ok(socket) => sockets.push(socket),
            Err(error) if address.is_ipv6() && !sockets.is_empty() && is_without_ipv6(&error) => {}
            Err(source) => return Err(ListenError { address, source }),
        }
    }
    Ok(sockets)
}

/// Where the gate listens: in its container Docker leads the published addresses to any of the container's own.
fn addresses(local: &Local, placement: Placement) -> Vec<SocketAddr> {
    match placement {
        Placement::Published => {
            let port = local.port.number();
            vec![(Ipv4Addr::UNSPECIFIED, port).into(), (Ipv6Addr::UNSPECIFIED, port).into()]
        }
        Placement::Host | Placement::Process => local.sockets().collect(),
    }
}

fn is_without_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}
