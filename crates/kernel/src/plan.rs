//! Which mappings the kernel carries, and which it leaves to the relay.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use portgate_core::mapping::Local;
use portgate_core::port::{Port, Protocol};
use portgate_core::status::RelayReason;
use portgate_core::table::{Backend, Reach, Resolution, Table};

use crate::identity::Place;

/// The most backends that one mapping is spread over. 12 can be shared evenly by 1, 2, 3, 4, 6 and 12.
pub const SLOTS: u32 = 12;

/// Where packets are caught: a mapping has one for each of its IPv4 addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Front {
    /// The destination; `None` for each address of the network.
    pub address: Option<Ipv4Addr>,
    /// The protocol.
    pub protocol: Protocol,
    /// The destination port.
    pub port: Port,
}

/// Where packets are led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct End {
    /// The backend.
    pub address: SocketAddrV4,
    /// The node that is the router to it, if it has no address on the cluster's Docker network itself.
    pub via: Option<Ipv4Addr>,
}

/// A mapping that the kernel carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Where packets are caught; never empty.
    pub fronts: Vec<Front>,
    /// Where they are led to, in turn; never empty, at most [`SLOTS`].
    pub ends: Vec<End>,
}

/// What the kernel does with each mapping of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The mappings that the kernel carries.
    pub carried: BTreeMap<Local, Carried>,
    /// Why the relay carries the others.
    pub relayed: BTreeMap<Local, RelayReason>,
}

impl Plan {
    /// Decides for each mapping of the table.
    pub fn new(place: &Place, table: &Table) -> Self {
        let mut plan = Self::default();
        for (local, resolution) in table {
            match carried(place, local, resolution) {
                Ok(carried) => _ = plan.carried.insert(local.clone(), carried),
                Err(reason) => _ = plan.relayed.insert(local.clone(), reason),
            }
        }
        plan
    }

    /// The router to each backend that needs one.
    pub fn routes(&self) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
        let ends = self.carried.values().flat_map(|carried| &carried.ends);
        ends.filter_map(|end| Some((*end.address.ip(), end.via?))).collect()
    }
}

fn carried(place: &Place, local: &Local, resolution: &Resolution) -> Result<Carried, RelayReason> {
    let fronts = fronts(place, local);
    if fronts.is_empty() {
        return Err(RelayReason::LocalIpv6);
    }
    let backends = resolution.as_deref().unwrap_or_default();
    if backends.is_empty() {
        return Err(RelayReason::NoBackend);
    }
    let ends: Vec<End> = backends.iter().filter_map(end).take(SLOTS as usize).collect();
    if ends.is_empty() { Err(RelayReason::BackendIpv6) } else { Ok(Carried { fronts, ends }) }
}

/// In a container of the gate's own, each published port arrives at the one address that the container has.
fn fronts(place: &Place, local: &Local) -> Vec<Front> {
    let front = |address| Front { address, protocol: local.protocol, port: local.port };
    let ipv4 = || {
        local.addresses.iter().filter_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    };
    if *place == Place::Container || ipv4().any(|address| address.is_unspecified()) {
        return vec![front(None)];
    }
    ipv4().map(|address| front(Some(address))).collect()
}

fn end(backend: &Backend) -> Option<End> {
    let SocketAddr::V4(address) = backend.address else { return None };
    match backend.reach {
        Reach::Node => Some(End { address, via: None }),
        Reach::Route { via: IpAddr::V4(via) } => Some(End { address, via: Some(via) }),
        Reach::Route { via: IpAddr::V6(_) } | Reach::Api => None,
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::mapping::HostAddresses;
    use portgate_core::table::NoBackend;

    use super::*;

    fn local(addresses: &[&str]) -> Local {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let addresses = HostAddresses::try_from(addresses).unwrap();
        Local { addresses, port: Port::new(80).unwrap(), protocol: Protocol::Tcp }
    }

    fn backend(address: &str) -> Backend {
        Backend { node: "node".to_owned(), address: address.parse().unwrap(), reach: Reach::Node }
    }

    fn decision(place: &Place, addresses: &[&str], resolution: Resolution) -> Result<Carried, RelayReason> {
        let local = local(addresses);
        let mut plan = Plan::new(place, &Table::from([(local.clone(), resolution)]));
        plan.carried.remove(&local).ok_or_else(|| plan.relayed.remove(&local).unwrap())
    }

    fn host() -> Place {
        Place::Host { bridge: "br".to_owned() }
    }

    fn addresses(carried: &Carried) -> Vec<Option<Ipv4Addr>> {
        carried.fronts.iter().map(|front| front.address).collect()
    }

    #[test]
    fn what_is_ipv6_only_stays_with_the_relay() {
        let v4 = || Ok(vec![backend("172.18.0.2:80")]);
        assert_eq!(decision(&host(), &["::1"], v4()), Err(RelayReason::LocalIpv6));
        let v6 = Ok(vec![backend("[fd00::2]:80")]);
        assert_eq!(decision(&host(), &["127.0.0.1"], v6), Err(RelayReason::BackendIpv6));
        let both = Ok(vec![backend("[fd00::2]:80"), backend("172.18.0.3:80")]);
        assert_eq!(decision(&host(), &["127.0.0.1", "::1"], both).unwrap().ends.len(), 1);
    }

    #[test]
    fn without_a_backend_the_relay_refuses() {
        assert_eq!(decision(&host(), &["127.0.0.1"], Err(NoBackend::ClusterStopped)), Err(RelayReason::NoBackend));
        assert_eq!(decision(&host(), &["127.0.0.1"], Ok(Vec::new())), Err(RelayReason::NoBackend));
    }

    #[test]
    fn packets_are_caught_at_each_ipv4_address() {
        let at = |place: &Place, list: &[&str]| {
            addresses(&decision(place, list, Ok(vec![backend("172.18.0.2:80")])).unwrap())
        };
        assert_eq!(
            at(&host(), &["127.0.0.1", "::1", "10.0.0.7"]),
            [Some([10, 0, 0, 7].into()), Some(Ipv4Addr::LOCALHOST)]
        );
        assert_eq!(at(&host(), &["0.0.0.0", "127.0.0.1"]), [None]);
        assert_eq!(at(&Place::Container, &["::1"]), [None]);
    }

    #[test]
    fn no_more_backends_are_used_than_there_are_slots() {
        let many = (0..20).map(|number| backend(&format!("172.18.0.{number}:80"))).collect();
        assert_eq!(decision(&host(), &["127.0.0.1"], Ok(many)).unwrap().ends.len(), 12);
    }
}
