//! Pods.

use portgate_core::kubernetes::{EndpointPort, Pod};
use portgate_core::limits::Limit;
use serde::{Deserialize, Deserializer};

use super::sequence::converted;
use super::{Item, Meta, is_ready, name, port, protocol};

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
    node_name: Option<String>,
    #[serde(default, deserialize_with = "of_containers")]
    containers: Vec<EndpointPort>,
    #[serde(default, deserialize_with = "of_sidecars")]
    init_containers: Vec<EndpointPort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(default, deserialize_with = "ports")]
    ports: Vec<EndpointPort>,
    restart_policy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Declared {
    name: Option<String>,
    container_port: Option<u32>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(rename = "conditions", default, deserialize_with = "is_ready")]
    is_ready: bool,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

impl super::Raw for Raw {
    fn parts(self) -> Result<(Meta, Item), Limit> {
        let Self { metadata, mut spec, status } = self;
        spec.containers.append(&mut spec.init_containers);
        // Such a pod keeps its last address, which is another pod's soon.
        let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let terminating = metadata.deletion_timestamp.is_some();
        let pod = Pod {
            name: metadata.name.clone(),
            address: status.pod_ip.filter(|_| !finished).and_then(|address| address.parse().ok()),
            node: spec.node_name,
            ready: status.is_ready && !terminating && !finished,
            terminating,
            ports: spec.containers,
        };
        Ok((metadata, Item::Pod(pod)))
    }
}

fn of_containers<'de, D: Deserializer<'de>>(containers: D) -> Result<Vec<EndpointPort>, D::Error> {
    converted(containers, |container: Container| container.ports)
}

/// An init container runs as long as the pod does if it is always restarted.
fn of_sidecars<'de, D: Deserializer<'de>>(containers: D) -> Result<Vec<EndpointPort>, D::Error> {
    let is_sidecar = |container: &Container| container.restart_policy.as_deref() == Some("Always");
    converted(containers, |container| {
        Some(container).filter(is_sidecar).map(|sidecar| sidecar.ports).unwrap_or_default()
    })
}

fn ports<'de, D: Deserializer<'de>>(declared: D) -> Result<Vec<EndpointPort>, D::Error> {
    converted(declared, |declared: Declared| {
        Some(EndpointPort {
            protocol: protocol(declared.protocol.as_deref())?,
            port: port(declared.container_port)?,
            name: name(declared.name),
        })
    })
}
