//! Services.

use std::net::IpAddr;

use portgate_core::kubernetes::{Exposure, Service, ServicePort};
use serde::Deserialize;

use super::{Item, Meta, name, port, protocol};

#[derive(Deserialize)]
pub(super) struct Raw {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    r#type: Option<String>,
    external_name: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(rename = "clusterIPs")]
    cluster_ips: Option<Vec<String>>,
    external_traffic_policy: Option<String>,
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u32>,
    node_port: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
struct LoadBalancer {
    ingress: Option<Vec<Ingress>>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<String>,
}

impl super::Raw for Raw {
    fn parts(self) -> (Meta, Item) {
        let Self { metadata, spec, status } = self;
        let ingress = status.load_balancer.ingress.into_iter().flatten().filter_map(|ingress| ingress.ip);
        let service = Service {
            // A headless Service has the word None for an address.
            cluster_ips: addresses(spec.cluster_ips.unwrap_or_else(|| spec.cluster_ip.into_iter().collect())),
            ingress: addresses(ingress),
            ports: spec.ports.into_iter().flatten().filter_map(service_port).collect(),
            local_only: spec.external_traffic_policy.as_deref() == Some("Local"),
            exposure: exposure(spec.r#type.as_deref(), spec.external_name),
            endpoints: Vec::new(),
        };
        (metadata, Item::Service(service))
    }
}

fn exposure(kind: Option<&str>, external_name: Option<String>) -> Exposure {
    match kind {
        Some("NodePort") => Exposure::NodePort,
        Some("LoadBalancer") => Exposure::LoadBalancer,
        Some("ExternalName") => Exposure::ExternalName { name: external_name.unwrap_or_default() },
        _ => Exposure::ClusterIp,
    }
}

fn addresses(texts: impl IntoIterator<Item = String>) -> Vec<IpAddr> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

fn service_port(raw: RawPort) -> Option<ServicePort> {
    Some(ServicePort {
        protocol: protocol(raw.protocol.as_deref())?,
        port: port(raw.port)?,
        node_port: port(raw.node_port),
        name: name(raw.name),
    })
}
