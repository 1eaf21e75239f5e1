//! `EndpointSlice`s, and how those of one Service are joined.

use std::collections::BTreeMap;
use std::net::IpAddr;

use portgate_core::kubernetes::{Endpoint, EndpointPort};
use serde::Deserialize;

use super::{Item, Meta, name, port, protocol};

/// Some of a Service's endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// The Service's name.
    pub(crate) service: String,
    pub(crate) endpoints: Vec<Endpoint>,
}

/// The endpoints of all these slices, IPv4 first and each once.
///
/// An endpoint that moves to another slice is in both for a moment: it counts as ready if one of them says so. One
/// whose ports are told by two slices has them all. Two pods that share an address (a node's, or one that has just
/// passed on) are two endpoints.
pub(crate) fn join<'a>(slices: impl IntoIterator<Item = &'a Slice>) -> Vec<Endpoint> {
    let mut joined: BTreeMap<(IpAddr, Option<&str>), Endpoint> = BTreeMap::new();
    for endpoint in slices.into_iter().flat_map(|slice| &slice.endpoints) {
        let known = joined.entry((endpoint.address, endpoint.pod.as_deref())).or_insert_with(|| endpoint.clone());
        known.ready |= endpoint.ready;
        known.terminating &= endpoint.terminating;
        let new = endpoint.ports.iter().filter(|port| !known.ports.contains(port)).cloned().collect::<Vec<_>>();
        known.ports.extend(new);
    }
    joined.into_values().collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    metadata: Meta,
    address_type: Option<String>,
    endpoints: Option<Vec<RawEndpoint>>,
    ports: Option<Vec<RawPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    addresses: Option<Vec<String>>,
    #[serde(default)]
    conditions: Conditions,
    target_ref: Option<Target>,
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Deserialize)]
struct Target {
    kind: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct RawPort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u32>,
}

impl super::Raw for Raw {
    fn parts(self) -> (Meta, Item) {
        // The third type, FQDN, has names for addresses.
        let of_addresses = matches!(self.address_type.as_deref(), Some("IPv4" | "IPv6"));
        let ports: Vec<EndpointPort> = self.ports.into_iter().flatten().filter_map(endpoint_port).collect();
        let endpoints = self.endpoints.into_iter().flatten().filter(|_| of_addresses);
        let endpoints = endpoints.filter_map(|raw| endpoint(raw, &ports)).collect();
        let service = self.metadata.labels.as_ref().and_then(|labels| labels.service.clone()).unwrap_or_default();
        (self.metadata, Item::Slice(Slice { service, endpoints }))
    }
}

/// Readiness that is not told counts as ready, says the API. Of several addresses the first counts.
fn endpoint(raw: RawEndpoint, ports: &[EndpointPort]) -> Option<Endpoint> {
    let pod = raw.target_ref.filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|target| target.name);
    Some(Endpoint {
        address: raw.addresses?.first()?.parse().ok()?,
        node: raw.node_name,
        pod,
        ready: raw.conditions.ready.unwrap_or(true),
        terminating: raw.conditions.terminating.unwrap_or(false),
        ports: ports.to_vec(),
    })
}

fn endpoint_port(raw: RawPort) -> Option<EndpointPort> {
    Some(EndpointPort { protocol: protocol(raw.protocol.as_deref())?, port: port(raw.port)?, name: name(raw.name) })
}
