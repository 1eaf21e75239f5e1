//! Published ports, between portgate's words and the engine's.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bollard::models::{PortBinding, PortMap};
use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};

/// A port of a container that the engine publishes on the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    /// Where the host listens.
    pub local: Local,
    /// The port in the container, of the same protocol.
    pub container: Port,
}

/// Ports in the words of `HostConfig.PortBindings`: one binding for each host address.
pub(crate) fn to_bindings(published: &[Published]) -> PortMap {
    let mut map = PortMap::new();
    for Published { local, container } in published {
        let bindings = map.entry(format!("{container}/{}", local.protocol)).or_default().get_or_insert_default();
        bindings.extend(local.addresses.iter().map(|address| PortBinding {
            host_ip: Some(address.to_string()),
            host_port: Some(local.port.to_string()),
        }));
    }
    map
}

/// The inverse of [`to_bindings`], in the order of the host's ports. What portgate would not write is left out: ranges,
/// ports that the engine chooses, SCTP.
pub(crate) fn from_bindings(map: &PortMap) -> Vec<Published> {
    let mut addresses: BTreeMap<(Port, Protocol, Port), Vec<IpAddr>> = BTreeMap::new();
    for (exposed, bindings) in map {
        let Some((container, protocol)) = parse_exposed(exposed) else { continue };
        for binding in bindings.iter().flatten() {
            let Some(port) = binding.host_port.as_deref().and_then(parse_port) else { continue };
            let found = parse_addresses(binding.host_ip.as_deref());
            addresses.entry((port, protocol, container)).or_default().extend(found);
        }
    }
    let published = addresses.into_iter().filter_map(|((port, protocol, container), addresses)| {
        let addresses = HostAddresses::try_from(addresses).ok()?;
        Some(Published { local: Local { addresses, port, protocol }, container })
    });
    published.collect()
}

fn parse_exposed(exposed: &str) -> Option<(Port, Protocol)> {
    let (port, protocol) = exposed.split_once('/')?;
    let protocol = [Protocol::Tcp, Protocol::Udp].into_iter().find(|known| known.name() == protocol)?;
    Some((parse_port(port)?, protocol))
}

fn parse_port(text: &str) -> Option<Port> {
    text.parse().ok().and_then(Port::new)
}

/// The engine means every address of both families where it names none.
pub(crate) fn parse_addresses(text: Option<&str>) -> Vec<IpAddr> {
    match text.unwrap_or_default() {
        "" => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        text => text.parse().into_iter().collect(),
    }
}

/// The keys of `ExposedPorts`, sorted.
pub(crate) fn exposed(published: &[Published]) -> Vec<String> {
    let mut ports: Vec<String> =
        published.iter().map(|port| format!("{}/{}", port.container, port.local.protocol)).collect();
    ports.sort();
    ports.dedup();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(addresses: &[&str], port: u16, protocol: Protocol, container: u16) -> Published {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        let addresses = HostAddresses::try_from(addresses).unwrap();
        let local = Local { addresses, port: Port::new(port).unwrap(), protocol };
        Published { local, container: Port::new(container).unwrap() }
    }

    #[test]
    fn bindings_and_back() {
        let ports = [
            published(&["127.0.0.1", "::1"], 8080, Protocol::Tcp, 20001),
            published(&["0.0.0.0"], 8080, Protocol::Udp, 20001),
            published(&["10.0.0.7"], 30999, Protocol::Tcp, 20002),
        ];
        let map = to_bindings(&ports);
        assert_eq!(map["20001/tcp"].as_ref().unwrap().len(), 2);
        assert_eq!(from_bindings(&map), ports);
        assert_eq!(exposed(&ports), ["20001/tcp", "20001/udp", "20002/tcp"]);
    }

    #[test]
    fn no_address_means_every_address() {
        let map = serde_json::from_str(r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"90/tcp":null}"#).unwrap();
        assert_eq!(from_bindings(&map), [published(&["0.0.0.0", "::"], 8080, Protocol::Tcp, 80)]);
    }

    #[test]
    fn foreign_bindings_are_left_out() {
        let map = r#"{"80/sctp":[{"HostIp":"","HostPort":"80"}],"81/tcp":[{"HostIp":"","HostPort":"8000-8010"}],
                      "82/tcp":[{"HostIp":"","HostPort":""}]}"#;
        assert_eq!(from_bindings(&serde_json::from_str(map).unwrap()), []);
    }
}
