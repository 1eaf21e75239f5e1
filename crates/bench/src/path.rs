//! The ways to the node.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use portgate_core::status::{Datapath, Placement};
use serde::Serialize;

use crate::gate::Site;
use crate::service::Service;

/// A way to the node, in the order of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Path {
    /// To the container's address: the limit.
    Straight,
    /// Through portgate's rules in the host's kernel.
    Kernel,
    /// Through the relay of portgate's gate on the host, an unprivileged process.
    Relay,
    /// Through haproxy, a process on the host.
    Haproxy,
    /// Through nginx, a process on the host.
    Nginx,
    /// Through a port that portgate's gate publishes, and portgate's rules in the container's kernel.
    PublishedKernel,
    /// Through a port that portgate's gate publishes, and its relay.
    Published,
    /// Through a port that a container with nginx publishes.
    PublishedNginx,
    /// Through a port that a container with haproxy publishes.
    PublishedHaproxy,
    /// Through a port that a container with socat publishes: the guide's sidecar.
    PublishedSocat,
}

impl Path {
    /// Every path.
    pub(crate) const ALL: [Self; 10] = [
        Self::Straight,
        Self::Kernel,
        Self::Relay,
        Self::Haproxy,
        Self::Nginx,
        Self::PublishedKernel,
        Self::Published,
        Self::PublishedNginx,
        Self::PublishedHaproxy,
        Self::PublishedSocat,
    ];

    /// The name in commands and JSON.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Kernel => "kernel",
            Self::Relay => "relay",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::PublishedKernel => "published-kernel",
            Self::Published => "published",
            Self::PublishedNginx => "published-nginx",
            Self::PublishedHaproxy => "published-haproxy",
            Self::PublishedSocat => "published-socat",
        }
    }

    /// The name in tables.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Straight => "straight to the node (the limit)",
            Self::Kernel => "portgate kernel path on the host",
            Self::Relay => "portgate relay on the host",
            Self::Haproxy => "haproxy with splice on the host",
            Self::Nginx => "nginx stream on the host",
            Self::PublishedKernel => "portgate published, kernel path",
            Self::Published => "portgate published, relay",
            Self::PublishedNginx => "published port + nginx stream",
            Self::PublishedHaproxy => "published port + haproxy splice",
            Self::PublishedSocat => "published port + socat (sidecar)",
        }
    }

    /// Whether the way is portgate's.
    pub(crate) fn is_ours(self) -> bool {
        self.site().is_some()
    }

    /// Where portgate's gate is to run for it, and how its bytes are to travel.
    pub(crate) const fn site(self) -> Option<Site> {
        let (placement, datapath) = match self {
            Self::Kernel => (Placement::Host, Datapath::Kernel),
            Self::Relay => (Placement::Host, Datapath::Relay),
            Self::PublishedKernel => (Placement::Published, Datapath::Kernel),
            Self::Published => (Placement::Published, Datapath::Relay),
            _ => return None,
        };
        Some(Site { placement, datapath })
    }

    /// The other proxies in the same place.
    pub(crate) const fn peers(self) -> &'static [Self] {
        match self {
            Self::Kernel | Self::Relay => &[Self::Haproxy, Self::Nginx],
            Self::PublishedKernel | Self::Published => {
                &[Self::PublishedNginx, Self::PublishedHaproxy, Self::PublishedSocat]
            }
            _ => &[],
        }
    }

    /// Whether it carries a service: haproxy has no UDP.
    pub(crate) fn carries(self, service: Service) -> bool {
        let tcp_only = matches!(self, Self::Haproxy | Self::PublishedHaproxy);
        !tcp_only || service.protocol() == portgate_core::port::Protocol::Tcp
    }
}

/// Where the services are found on one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    address: IpAddr,
    ports: BTreeMap<Service, u16>,
}

impl Route {
    /// To the node itself.
    pub(crate) fn straight(node: IpAddr) -> Self {
        Self { address: node, ports: Service::ALL.map(|service| (service, service.port())).into() }
    }

    /// By these ports of 127.0.0.1.
    pub(crate) fn local(ports: BTreeMap<Service, u16>) -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), ports }
    }

    /// The service's address; none where the path does not carry it.
    pub(crate) fn to(&self, service: Service) -> Option<SocketAddr> {
        Some((self.address, *self.ports.get(&service)?).into())
    }

    /// Each service, its port here and its protocol.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (Service, u16)> {
        self.ports.iter().map(|(&service, &port)| (service, port))
    }
}
