//! How soon a gate finds a node that came back with another address.
//!
//! Docker's DNS knows a new address some 0.3 s before the node's interface is up. A gate that asks for it by ARP in that
//! time gets no answer, and Linux asks again only after a second. So a gate asks every [`RETRANSMISSION`] instead.
//! The setting belongs to an interface, and how an engine is told of such a setting depends on its API's version.

use std::collections::HashMap;

use crate::engine::{EngineInfo, Product};

/// How often an unanswered ARP request is repeated, in milliseconds. Linux' own default is 1000.
const RETRANSMISSION: &str = "100";

/// The first API version, of Docker 27, that takes settings of an interface with the endpoint, and in later versions
/// nowhere else (changes of API v1.46 and v1.48 in Docker's documentation).
const WITH_ENDPOINT: (u32, u32) = (1, 46);

/// Where an engine takes settings of a container's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InterfaceSettings {
    /// Among the container's sysctls, by the name that the interface will have.
    OfContainer,
    /// Among the driver options of the endpoint.
    OfEndpoint,
    /// Nowhere that is known: it works without, only up to a second later.
    Nowhere,
}

impl InterfaceSettings {
    pub(super) fn of(engine: &EngineInfo) -> Self {
        let version = engine.api_version.split_once('.');
        let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match (engine.product, version) {
            (Product::Podman, _) | (_, None) => Self::Nowhere,
            (_, Some(version)) if version < WITH_ENDPOINT => Self::OfContainer,
            (_, Some(_)) => Self::OfEndpoint,
        }
    }

    /// The container's sysctl, for an engine that takes it there.
    pub(super) fn sysctl(self) -> Option<(String, String)> {
        (self == Self::OfContainer)
            .then(|| ("net.ipv4.neigh.eth0.retrans_time_ms".to_owned(), RETRANSMISSION.to_owned()))
    }

    /// The endpoint's driver options, for an engine that takes it there.
    pub(super) fn driver_options(self) -> Option<HashMap<String, String>> {
        (self == Self::OfEndpoint).then(|| {
            let setting = format!("net.ipv4.neigh.IFNAME.retrans_time_ms={RETRANSMISSION}");
            HashMap::from([("com.docker.network.endpoint.sysctls".to_owned(), setting)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Architecture, Machine};

    fn settings(product: Product, api_version: &str) -> InterfaceSettings {
        InterfaceSettings::of(&EngineInfo {
            version: String::new(),
            api_version: api_version.to_owned(),
            os: "linux".to_owned(),
            architecture: Architecture::new("amd64"),
            name: String::new(),
            product,
            rootless: false,
            remaps_users: false,
            local: true,
            machine: Machine::This,
        })
    }

    #[test]
    fn each_engine_is_told_where_it_listens() {
        assert_eq!(settings(Product::Docker, "1.41"), InterfaceSettings::OfContainer);
        assert_eq!(settings(Product::Docker, "1.45"), InterfaceSettings::OfContainer);
        assert_eq!(settings(Product::Docker, "1.46"), InterfaceSettings::OfEndpoint);
        assert_eq!(settings(Product::DockerDesktop, "1.51"), InterfaceSettings::OfEndpoint);
        assert_eq!(settings(Product::Podman, "1.41"), InterfaceSettings::Nowhere);
        assert_eq!(settings(Product::Docker, ""), InterfaceSettings::Nowhere);
    }
}
