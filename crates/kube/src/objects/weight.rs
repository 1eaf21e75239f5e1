//! About how many bytes of memory an object takes.

use std::mem::size_of_val;

use portgate_core::kubernetes::{EndpointPort, Exposure, Pod, Service};

use super::{Item, Object, Slice};

impl Object {
    pub(crate) fn weight(&self) -> usize {
        size_of_val(self) + self.place.0.len() + self.place.1.len() + self.version.len() + self.item.weight()
    }
}

impl Item {
    /// What it takes beside its own size.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Service(service) => of_service(service),
            Self::Slice(slice) => slice.weight(),
            Self::Pod(pod) => of_pod(pod),
            Self::Workload(selector) => length(selector.as_ref()),
            Self::Node(_) | Self::Other => 0,
        }
    }
}

impl Slice {
    /// Every endpoint has the ports of its own.
    fn weight(&self) -> usize {
        let texts = |pod: Option<&String>, node: Option<&String>| length(pod) + length(node);
        let endpoints = self.endpoints.iter();
        let own = endpoints.map(|end| texts(end.pod.as_ref(), end.node.as_ref()) + of_ports(&end.ports));
        self.service.len() + size_of_val(&self.endpoints[..]) + own.sum::<usize>()
    }
}

fn of_service(service: &Service) -> usize {
    let Service { exposure, cluster_ips, ingress, ports, local_only: _, endpoints: _ } = service;
    let external = match exposure {
        Exposure::ExternalName { name } => name.len(),
        Exposure::ClusterIp | Exposure::NodePort | Exposure::LoadBalancer => 0,
    };
    let names: usize = ports.iter().map(|port| length(port.name.as_ref())).sum();
    external + size_of_val(&cluster_ips[..]) + size_of_val(&ingress[..]) + size_of_val(&ports[..]) + names
}

fn of_pod(pod: &Pod) -> usize {
    pod.name.len() + length(pod.node.as_ref()) + of_ports(&pod.ports)
}

fn of_ports(ports: &[EndpointPort]) -> usize {
    size_of_val(ports) + ports.iter().map(|port| length(port.name.as_ref())).sum::<usize>()
}

fn length(text: Option<&String>) -> usize {
    text.map_or(0, String::len)
}
