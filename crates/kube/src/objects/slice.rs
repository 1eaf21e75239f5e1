//! `EndpointSlice`s, and how those of one Service are joined.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use portgate_core::kubernetes::{Endpoint, EndpointPort};
use portgate_core::limits::{Limit, SLICE_ENDPOINTS, SLICE_PORTS};
use portgate_core::port::{Port, Protocol};
use serde::{Deserialize, Deserializer};

use super::sequence::converted;
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
    let mut joined: BTreeMap<(IpAddr, Option<&str>), Joined<'_>> = BTreeMap::new();
    for endpoint in slices.into_iter().flat_map(|slice| &slice.endpoints) {
        let key = (endpoint.address, endpoint.pod.as_deref());
        let known = joined.entry(key).or_insert_with(|| Joined {
            endpoint: Endpoint { ports: Vec::new(), ..endpoint.clone() },
            ports: BTreeSet::new(),
        });
        known.endpoint.ready |= endpoint.ready;
        known.endpoint.terminating &= endpoint.terminating;
        for port in &endpoint.ports {
            if known.ports.insert((port.protocol, port.port, port.name.as_deref())) {
                known.endpoint.ports.push(port.clone());
            }
        }
    }
    joined.into_values().map(|joined| joined.endpoint).collect()
}

/// An endpoint, and the ports that it has.
struct Joined<'a> {
    endpoint: Endpoint,
    ports: BTreeSet<(Protocol, Port, Option<&'a str>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    metadata: Meta,
    address_type: Option<String>,
    #[serde(default, deserialize_with = "endpoints")]
    endpoints: Vec<Endpoint>,
    #[serde(default, deserialize_with = "ports")]
    ports: Vec<EndpointPort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEndpoint {
    #[serde(rename = "addresses", default, deserialize_with = "first")]
    address: Option<IpAddr>,
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
    fn parts(self) -> Result<(Meta, Item), Limit> {
        let Self { metadata, address_type, mut endpoints, ports } = self;
        // The third type, FQDN, has names for addresses.
        if !matches!(address_type.as_deref(), Some("IPv4" | "IPv6")) {
            endpoints.clear();
        }
        // Each endpoint gets all ports, so few bytes could become many.
        if endpoints.len() > SLICE_ENDPOINTS.most {
            return Err(SLICE_ENDPOINTS);
        }
        if ports.len() > SLICE_PORTS.most {
            return Err(SLICE_PORTS);
        }
        for endpoint in &mut endpoints {
            endpoint.ports.clone_from(&ports);
        }
        let service = metadata.labels.as_ref().and_then(|labels| labels.service.clone()).unwrap_or_default();
        Ok((metadata, Item::Slice(Slice { service, endpoints })))
    }
}

/// The endpoints, as yet without their ports. Readiness that is not told counts as ready, says the API.
fn endpoints<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<Endpoint>, D::Error> {
    converted(list, |raw: RawEndpoint| {
        let pod = raw.target_ref.filter(|target| target.kind.as_deref() == Some("Pod")).and_then(|target| target.name);
        Some(Endpoint {
            address: raw.address?,
            node: raw.node_name,
            pod,
            ready: raw.conditions.ready.unwrap_or(true),
            terminating: raw.conditions.terminating.unwrap_or(false),
            ports: Vec::new(),
        })
    })
}

/// The first of several addresses, which is the one that counts.
fn first<'de, D: Deserializer<'de>>(addresses: D) -> Result<Option<IpAddr>, D::Error> {
    let mut is_first = true;
    let address = |text: String| std::mem::take(&mut is_first).then(|| text.parse().ok()).flatten();
    Ok(converted(addresses, address)?.pop())
}

fn ports<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<EndpointPort>, D::Error> {
    converted(list, |raw: RawPort| {
        Some(EndpointPort { protocol: protocol(raw.protocol.as_deref())?, port: port(raw.port)?, name: name(raw.name) })
    })
}
