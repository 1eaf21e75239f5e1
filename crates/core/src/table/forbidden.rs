//! Addresses that no mapping leads to: those of the machine itself, and those that no single container has.
//!
//! An API server, or whoever may write an `EndpointSlice`, decides which addresses an object has. With one of the machine's
//! own addresses, a port that is open to other machines would lead past the firewall to the machine's services.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// Why no mapping leads to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Forbidden {
    /// 127.0.0.0/8 and `::1`.
    #[error("it is a loopback address")]
    Loopback,
    /// 0.0.0.0/8 and `::`. Linux connects 0.0.0.0 to itself.
    #[error("it is an unspecified address")]
    Unspecified,
    /// 169.254.0.0/16 and `fe80::/10`. Clouds serve credentials there.
    #[error("it is a link-local address")]
    LinkLocal,
    /// 224.0.0.0/4 and `ff00::/8`.
    #[error("it is a multicast address")]
    Multicast,
    /// 255.255.255.255, and that of a network of the machine.
    #[error("it is a broadcast address")]
    Broadcast,
    /// 240.0.0.0/4.
    #[error("it is a reserved address")]
    Reserved,
    /// An address of the host.
    #[error("it is an address of the host")]
    Host,
    /// An address of the gate's own container.
    #[error("it is an address of the gate")]
    Gate,
    /// Where the gate's container sends what is not for the cluster's network: the host.
    #[error("it is the gateway of the cluster's network")]
    Gateway,
}

impl Forbidden {
    /// Why no mapping on any machine leads to this address.
    fn everywhere(address: IpAddr) -> Option<Self> {
        let is_link_local = match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let first = match address {
            IpAddr::V4(address) => Some(address.octets()[0]),
            IpAddr::V6(_) => None,
        };
        Some(match first {
            _ if address.is_loopback() => Self::Loopback,
            _ if address.is_unspecified() => Self::Unspecified,
            _ if is_link_local => Self::LinkLocal,
            _ if address.is_multicast() => Self::Multicast,
            _ if address == Ipv4Addr::BROADCAST => Self::Broadcast,
            Some(0) => Self::Unspecified,
            Some(240..) => Self::Reserved,
            _ => return None,
        })
    }
}

/// The addresses that lead to the machine a gate runs on, and what they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnAddresses(BTreeMap<IpAddr, Forbidden>);

impl OwnAddresses {
    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (IpAddr, Forbidden)> {
        self.0.iter().map(|(address, why)| (*address, *why))
    }

    /// Why no mapping leads to this address; `None` if one may. An IPv6 address that stands for an IPv4 address is judged
    /// as that one, too.
    pub fn forbid(&self, address: IpAddr) -> Option<Forbidden> {
        let embedded = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
        };
        let judge = |address| self.0.get(&address).copied().or_else(|| Forbidden::everywhere(address));
        [Some(address), embedded].into_iter().flatten().find_map(judge)
    }
}

impl FromIterator<(IpAddr, Forbidden)> for OwnAddresses {
    fn from_iter<I: IntoIterator<Item = (IpAddr, Forbidden)>>(addresses: I) -> Self {
        let mut own = Self::default();
        own.extend(addresses);
        own
    }
}

impl Extend<(IpAddr, Forbidden)> for OwnAddresses {
    /// Adds addresses. What is known of an address stays.
    fn extend<I: IntoIterator<Item = (IpAddr, Forbidden)>>(&mut self, addresses: I) {
        for (address, why) in addresses {
            self.0.entry(address.to_canonical()).or_insert(why);
        }
    }
}

/// The IPv4 address that an IPv6 address stands for.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    match address.segments() {
        // Mapped and compatible addresses: `::ffff:192.0.2.1` and `::192.0.2.1` (RFC 4291).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        // NAT64: `64:ff9b::192.0.2.1` (RFC 6052).
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        // 6to4: `2002:c000:201::` (RFC 3056).
        | [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn why(address: &str) -> Option<Forbidden> {
        let own =
            [("192.168.1.7", Forbidden::Host), ("fd00::7", Forbidden::Host), ("172.18.255.255", Forbidden::Broadcast)];
        let own: OwnAddresses = own.map(|(address, why)| (address.parse().unwrap(), why)).into_iter().collect();
        own.forbid(address.parse().unwrap())
    }

    #[test]
    fn addresses_of_containers_and_of_other_machines_are_not_forbidden() {
        let addresses = [
            "172.18.0.2",
            "10.43.0.1",
            "192.168.1.8",
            "100.64.0.1",
            "203.0.113.9",
            "fd00::2",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ];
        for address in addresses {
            assert_eq!(why(address), None, "{address}");
        }
    }

    #[test]
    fn addresses_that_are_special_on_every_machine_are_forbidden() {
        let cases = [
            (&["127.0.0.1", "127.255.255.254", "::1"][..], Forbidden::Loopback),
            (&["0.0.0.0", "0.1.2.3", "::"], Forbidden::Unspecified),
            (&["169.254.169.254", "fe80::1", "febf::1"], Forbidden::LinkLocal),
            (&["224.0.0.1", "239.255.255.250", "ff02::1"], Forbidden::Multicast),
            (&["255.255.255.255"], Forbidden::Broadcast),
            (&["240.0.0.1", "255.255.255.254"], Forbidden::Reserved),
        ];
        for (addresses, expected) in cases {
            for address in addresses {
                assert_eq!(why(address), Some(expected), "{address}");
            }
        }
    }

    #[test]
    fn the_machines_own_addresses_are_forbidden() {
        assert_eq!(why("192.168.1.7"), Some(Forbidden::Host));
        assert_eq!(why("fd00::7"), Some(Forbidden::Host));
        assert_eq!(why("172.18.255.255"), Some(Forbidden::Broadcast));
    }

    proptest! {
        #[test]
        fn an_ipv6_address_is_no_way_around_the_ipv4_address_that_it_stands_for(bits: u32, own: bool) {
            let address = Ipv4Addr::from_bits(bits);
            let own: OwnAddresses = own.then_some((IpAddr::V4(address), Forbidden::Host)).into_iter().collect();
            let [_, _, _, _, _, _, high, low] = address.to_ipv6_mapped().segments();
            let forms = [
                address.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ];
            if own.forbid(IpAddr::V4(address)).is_some() {
                for form in forms {
                    prop_assert!(own.forbid(IpAddr::V6(form)).is_some(), "{form}");
                }
            }
        }

        #[test]
        fn only_unicast_addresses_of_others_are_led_to(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let unicast = (0x0100_0000..0x7f00_0000).contains(&bits) || (0x8000_0000..0xe000_0000).contains(&bits);
            let expected = unicast && !address.is_link_local();
            prop_assert_eq!(OwnAddresses::default().forbid(IpAddr::V4(address)).is_none(), expected);
        }
    }
}
