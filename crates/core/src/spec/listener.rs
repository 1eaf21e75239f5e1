//! Which addresses a port can listen on.

use std::net::IpAddr;

/// An address that no client can connect to, though some systems let a socket have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    /// `224.0.0.1`, `ff02::1`
    #[error("cannot listen on a multicast address")]
    Multicast,
    /// `255.255.255.255`
    #[error("cannot listen on the broadcast address")]
    Broadcast,
    /// `fe80::1`, which means another machine on each interface.
    #[error("cannot listen on a link-local address without its interface")]
    LinkLocal,
}

impl ListenerError {
    /// What to type instead.
    pub fn hint(self) -> &'static str {
        "name one of this machine's addresses, as 127.0.0.1 or [::1]; `ip address` lists them, 0.0.0.0 stands for all"
    }
}

/// The address, if a port can listen on it; that of IPv4, where IPv6 wraps one. Whether this machine has it, the
/// system says.
pub fn listener(address: IpAddr) -> Result<IpAddr, ListenerError> {
    match address.to_canonical() {
        address if address.is_multicast() => Err(ListenerError::Multicast),
        IpAddr::V4(address) if address.is_broadcast() => Err(ListenerError::Broadcast),
        IpAddr::V6(address) if address.is_unicast_link_local() => Err(ListenerError::LinkLocal),
        address => Ok(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Result<String, ListenerError> {
        listener(text.parse().unwrap()).map(|address| address.to_string())
    }

    #[test]
    fn only_an_address_of_one_machine_can_be_listened_on() {
        for text in ["224.0.0.1", "239.255.255.255", "ff02::1", "::ffff:224.0.0.1"] {
            assert_eq!(outcome(text), Err(ListenerError::Multicast), "{text}");
        }
        assert_eq!(outcome("255.255.255.255"), Err(ListenerError::Broadcast));
        assert_eq!(outcome("fe80::1"), Err(ListenerError::LinkLocal));
        for text in ["127.0.0.1", "0.0.0.0", "::", "::1", "10.0.0.7", "169.254.1.1", "fd00::1"] {
            assert_eq!(outcome(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn an_ipv4_address_in_ipv6s_clothes_is_an_ipv4_address() {
        assert_eq!(outcome("::ffff:127.0.0.1").as_deref(), Ok("127.0.0.1"));
    }
}
