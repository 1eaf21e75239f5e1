//! Pods.

use portgate_core::kubernetes::{EndpointPort, Pod};
use serde::Deserialize;

use super::{Condition, Item, Meta, is_ready, name, port, protocol};

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
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    ports: Option<Vec<Declared>>,
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
    conditions: Option<Vec<Condition>>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
}

impl super::Raw for Raw {
    fn parts(self) -> (Meta, Item) {
        let Self { metadata, spec, status } = self;
        // Such a pod keeps its last address, which is another pod's soon.
        let finished = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        let terminating = metadata.deletion_timestamp.is_some();
        let pod = Pod {
            name: metadata.name.clone(),
            address: status.pod_ip.filter(|_| !finished).and_then(|address| address.parse().ok()),
            node: spec.node_name,
            ready: is_ready(status.conditions) && !terminating && !finished,
            terminating,
            ports: ports(spec.containers, spec.init_containers),
        };
        (metadata, Item::Pod(pod))
    }
}

/// The ports of the containers that run as long as the pod does: an init container does so if it is always restarted.
fn ports(containers: Option<Vec<Container>>, init: Option<Vec<Container>>) -> Vec<EndpointPort> {
    let sidecars = init.into_iter().flatten().filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let containers = containers.into_iter().flatten().chain(sidecars);
    let declared = containers.flat_map(|container| container.ports.unwrap_or_default());
    let ports = declared.filter_map(|declared| {
        Some(EndpointPort {
            protocol: protocol(declared.protocol.as_deref())?,
            port: port(declared.container_port)?,
            name: name(declared.name),
        })
    });
    ports.collect()
}
