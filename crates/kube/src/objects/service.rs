//! Services.

use std::net::IpAddr;

use portgate_core::kubernetes::{Exposure, Service, ServicePort};
use portgate_core::limits::Limit;
use serde::{Deserialize, Deserializer};

use super::sequence::converted;
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
    #[serde(rename = "clusterIPs", default, deserialize_with = "addresses")]
    cluster_ips: Vec<IpAddr>,
    external_traffic_policy: Option<String>,
    #[serde(default, deserialize_with = "ports")]
    ports: Vec<ServicePort>,
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
    #[serde(default, deserialize_with = "ingress")]
    ingress: Vec<IpAddr>,
}

#[derive(Deserialize)]
struct Ingress {
    ip: Option<String>,
}

impl super::Raw for Raw {
    fn parts(self) -> Result<(Meta, Item), Limit> {
        let Self { metadata, spec, status } = self;
        let mut cluster_ips = spec.cluster_ips;
        if cluster_ips.is_empty() {
            // A headless Service has the word None for an address.
            cluster_ips.extend(spec.cluster_ip.and_then(|address| address.parse::<IpAddr>().ok()));
        }
        let service = Service {
            cluster_ips,
            ingress: status.load_balancer.ingress,
            ports: spec.ports,
            local_only: spec.external_traffic_policy.as_deref() == Some("Local"),
            exposure: exposure(spec.r#type.as_deref(), spec.external_name),
            endpoints: Vec::new(),
        };
        Ok((metadata, Item::Service(service)))
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

fn addresses<'de, D: Deserializer<'de>>(texts: D) -> Result<Vec<IpAddr>, D::Error> {
    converted(texts, |text: String| text.parse().ok())
}

fn ingress<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<IpAddr>, D::Error> {
    converted(list, |ingress: Ingress| ingress.ip.and_then(|text| text.parse().ok()))
}

fn ports<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<ServicePort>, D::Error> {
    converted(list, |raw: RawPort| {
        Some(ServicePort {
            protocol: protocol(raw.protocol.as_deref())?,
            port: port(raw.port)?,
            node_port: port(raw.node_port),
            name: name(raw.name),
        })
    })
}
