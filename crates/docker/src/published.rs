//! Published ports, between portgate's words and the engine's.
//!
//! A published port has the same number in the container as on the host.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bollard::models::{PortBinding, PortMap};
use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};

/// Ports in the words of `HostConfig.PortBindings`: one binding for each host address.
pub(crate) fn to_bindings(published: &[Local]) -> PortMap {
    let mut map = PortMap::new();
    for local in published {
        let bindings = map.entry(exposed_port(local)).or_default().get_or_insert_default();
        bindings.extend(local.addresses.iter().map(|address| PortBinding {
            host_ip: Some(address.to_string()),
            host_port: Some(local.port.to_string()),
        }));
    }
    map
}

/// The inverse of [`to_bindings`], in the order of the host's ports. What portgate would not write is left out: ranges,
/// ports that the engine chooses or that differ from the container's, SCTP.
pub(crate) fn from_bindings(map: &PortMap) -> Vec<Local> {
    let mut addresses: BTreeMap<(Port, Protocol), Vec<IpAddr>> = BTreeMap::new();
    for (exposed, bindings) in map {
        let Some((container, protocol)) = parse_exposed(exposed) else { continue };
        for binding in bindings.iter().flatten() {
            if binding.host_port.as_deref().and_then(parse_port) == Some(container) {
                let found = parse_addresses(binding.host_ip.as_deref());
                addresses.entry((container, protocol)).or_default().extend(found);
            }
        }
    }
    let published = addresses.into_iter().filter_map(|((port, protocol), addresses)| {
        let addresses = HostAddresses::try_from(addresses).ok()?;
        Some(Local { addresses, port, protocol })
    });
    published.collect()
}

/// A port as the engine names it: `30999/tcp`.
fn exposed_port(local: &Local) -> String {
    format!("{}/{}", local.port, local.protocol)
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
pub(crate) fn exposed(published: &[Local]) -> Vec<String> {
    let mut ports: Vec<String> = published.iter().map(exposed_port).collect();
    ports.sort();
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(addresses: &[&str], port: u16, protocol: Protocol) -> Local {
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Local { addresses: HostAddresses::try_from(addresses).unwrap(), port: Port::new(port).unwrap(), protocol }
    }

    #[test]
    fn bindings_and_back() {
        let ports = [
            local(&["127.0.0.1", "::1"], 8080, Protocol::Tcp),
            local(&["0.0.0.0"], 8080, Protocol::Udp),
            local(&["10.0.0.7"], 30999, Protocol::Tcp),
        ];
        let map = to_bindings(&ports);
        assert_eq!(map["8080/tcp"].as_ref().unwrap().len(), 2);
        assert_eq!(from_bindings(&map), ports);
        assert_eq!(exposed(&ports), ["30999/tcp", "8080/tcp", "8080/udp"]);
    }

    #[test]
    fn no_address_means_every_address() {
        let map = serde_json::from_str(r#"{"8080/tcp":[{"HostIp":"","HostPort":"8080"}],"90/tcp":null}"#).unwrap();
        assert_eq!(from_bindings(&map), [local(&["0.0.0.0", "::"], 8080, Protocol::Tcp)]);
    }

    #[test]
    fn foreign_bindings_are_left_out() {
        let map = r#"{"80/sctp":[{"HostIp":"","HostPort":"80"}],"81/tcp":[{"HostIp":"","HostPort":"8000-8010"}],
                      "82/tcp":[{"HostIp":"","HostPort":""}],"83/tcp":[{"HostIp":"","HostPort":"8083"}]}"#;
        assert_eq!(from_bindings(&serde_json::from_str(map).unwrap()), []);
    }
}
