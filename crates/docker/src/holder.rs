//! Which container holds a port of the host.

use bollard::models::{ContainerSummary, PortSummary, PortSummaryTypeEnum};
use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};

use crate::engine::Engine;
use crate::{call, clusters, published};

impl Engine {
    /// The name of a running container that publishes a port where `local` would listen.
    pub async fn publisher_of(&self, local: &Local) -> Result<Option<String>, call::Error> {
        Ok(publisher(&self.listed(false).await?, local))
    }
}

fn publisher(containers: &[ContainerSummary], local: &Local) -> Option<String> {
    let publishes = |container: &&ContainerSummary| {
        container.ports.iter().flatten().filter_map(host_end).any(|held| held.overlaps(local))
    };
    containers.iter().find(publishes).map(clusters::name)
}

/// Where the host listens for a port; none if it is not published.
fn host_end(port: &PortSummary) -> Option<Local> {
    let protocol = match port.typ? {
        PortSummaryTypeEnum::TCP => Protocol::Tcp,
        PortSummaryTypeEnum::UDP => Protocol::Udp,
        PortSummaryTypeEnum::SCTP | PortSummaryTypeEnum::EMPTY => return None,
    };
    let addresses = HostAddresses::try_from(published::parse_addresses(port.ip.as_deref())).ok()?;
    Some(Local { addresses, port: Port::new(port.public_port?)?, protocol })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn containers() -> Vec<ContainerSummary> {
        serde_json::from_str(
            r#"[
                { "Names": ["/quiet"], "Ports": [{ "PrivatePort": 8080, "Type": "tcp" }] },
                { "Names": ["/web"], "Ports": [
                    { "IP": "127.0.0.1", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
                    { "IP": "0.0.0.0", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp" }] }
            ]"#,
        )
        .unwrap()
    }

    fn holder(address: &str, port: u16, protocol: Protocol) -> Option<String> {
        let addresses = HostAddresses::single(address.parse::<IpAddr>().unwrap());
        publisher(&containers(), &Local { addresses, port: Port::new(port).unwrap(), protocol })
    }

    #[test]
    fn a_port_is_held_by_the_container_that_publishes_it() {
        assert_eq!(holder("127.0.0.1", 8080, Protocol::Tcp).as_deref(), Some("web"));
        assert_eq!(holder("0.0.0.0", 8080, Protocol::Tcp).as_deref(), Some("web"));
        assert_eq!(holder("10.0.0.7", 5353, Protocol::Udp).as_deref(), Some("web"));
    }

    #[test]
    fn another_address_port_or_protocol_is_free() {
        assert_eq!(holder("10.0.0.7", 8080, Protocol::Tcp), None);
        assert_eq!(holder("::1", 5353, Protocol::Udp), None);
        assert_eq!(holder("127.0.0.1", 8080, Protocol::Udp), None);
        assert_eq!(holder("127.0.0.1", 80, Protocol::Tcp), None);
    }
}
