//! What is kept of the API's objects: read from its JSON, and turned into the model of `portgate_core`.
//!
//! Only the fields that decide where a mapping leads are read. The others, most of an object, are skipped as they are
//! parsed and never kept.

mod node;
mod pod;
mod service;
mod slice;
mod workload;

use kube::core::WatchEvent;
use portgate_core::kubernetes::{Pod, Service};
use portgate_core::port::{Port, Protocol};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::resource::Resource;

pub(crate) use slice::{Slice, join};

/// Which object of its kind: namespace, which is empty for objects of the whole cluster, and name.
pub(crate) type Place = (String, String);

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) place: Place,
    /// Its resource version.
    pub(crate) version: String,
    pub(crate) item: Item,
}

/// What is kept of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A Service, as yet without endpoints.
    Service(Service),
    Slice(Slice),
    Pod(Pod),
    /// The label selector of a workload's pods; none if it selects none.
    Workload(Option<String>),
    /// Whether a node is ready.
    Node(bool),
    /// Of others nothing but their place.
    Other,
}

/// Some of the objects that were asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    /// The resource version of the list.
    pub(crate) version: String,
    /// How to ask for the next page; none if this is the last one.
    pub(crate) next: Option<String>,
}

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Event {
    /// The object is new or has changed.
    Put(Object),
    /// The object is gone, at this resource version.
    Gone(Place, String),
    /// Nothing has changed up to this resource version.
    Bookmark(String),
    /// The server cannot go on.
    Refused(Box<kube::core::Status>),
}

/// Reads a page of a list.
pub(crate) fn page(resource: Resource, text: &str) -> serde_json::Result<Page> {
    match resource {
        Resource::Services => page_of::<service::Raw>(text),
        Resource::EndpointSlices => page_of::<slice::Raw>(text),
        Resource::Pods => page_of::<pod::Raw>(text),
        Resource::Deployments | Resource::StatefulSets | Resource::DaemonSets => page_of::<workload::Raw>(text),
        Resource::Nodes => page_of::<node::Raw>(text),
        Resource::Namespaces | Resource::PortForwards => names(text),
    }
}

/// Reads a page of a list, and of its objects nothing but their names.
pub(crate) fn names(text: &str) -> serde_json::Result<Page> {
    page_of::<Nameplate>(text)
}

/// Reads a line of a watch.
pub(crate) fn event(resource: Resource, line: &str) -> serde_json::Result<Event> {
    match resource {
        Resource::Services => event_of::<service::Raw>(line),
        Resource::EndpointSlices => event_of::<slice::Raw>(line),
        Resource::Pods => event_of::<pod::Raw>(line),
        Resource::Deployments | Resource::StatefulSets | Resource::DaemonSets => event_of::<workload::Raw>(line),
        Resource::Nodes => event_of::<node::Raw>(line),
        Resource::Namespaces | Resource::PortForwards => event_of::<Nameplate>(line),
    }
}

/// An object as the API writes it.
trait Raw: DeserializeOwned {
    fn parts(self) -> (Meta, Item);

    fn object(self) -> Object {
        let (meta, item) = self.parts();
        Object { place: (meta.namespace, meta.name), version: meta.resource_version, item }
    }
}

#[derive(Deserialize)]
#[serde(bound = "R: Raw")]
struct List<R> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Vec<R>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Meta {
    name: String,
    namespace: String,
    resource_version: String,
    /// When the object is to go; that there is such a time is enough.
    deletion_timestamp: Option<IgnoredAny>,
    labels: Option<Labels>,
}

/// The one label that counts.
#[derive(Deserialize)]
struct Labels {
    /// Of an `EndpointSlice`: the Service whose endpoints it has.
    #[serde(rename = "kubernetes.io/service-name")]
    service: Option<String>,
}

/// An object of which only the name counts.
#[derive(Deserialize)]
struct Nameplate {
    metadata: Meta,
}

impl Raw for Nameplate {
    fn parts(self) -> (Meta, Item) {
        (self.metadata, Item::Other)
    }
}

fn page_of<R: Raw>(text: &str) -> serde_json::Result<Page> {
    let list: List<R> = serde_json::from_str(text)?;
    Ok(Page {
        objects: list.items.into_iter().flatten().map(Raw::object).collect(),
        version: list.metadata.resource_version,
        next: Some(list.metadata.r#continue).filter(|token| !token.is_empty()),
    })
}

fn event_of<R: Raw>(line: &str) -> serde_json::Result<Event> {
    Ok(match serde_json::from_str::<WatchEvent<R>>(line)? {
        WatchEvent::Added(raw) | WatchEvent::Modified(raw) => Event::Put(raw.object()),
        WatchEvent::Deleted(raw) => {
            let (meta, _) = raw.parts();
            Event::Gone((meta.namespace, meta.name), meta.resource_version)
        }
        WatchEvent::Bookmark(bookmark) => Event::Bookmark(bookmark.metadata.resource_version),
        WatchEvent::Error(status) => Event::Refused(status),
    })
}

/// One of an object's `status.conditions`.
#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// Whether the condition Ready holds.
fn is_ready(conditions: Option<Vec<Condition>>) -> bool {
    conditions.into_iter().flatten().any(|condition| condition.r#type == "Ready" && condition.status == "True")
}

/// The protocol of this name; none for SCTP, which portgate does not carry. TCP is the default.
fn protocol(name: Option<&str>) -> Option<Protocol> {
    match name {
        None | Some("TCP") => Some(Protocol::Tcp),
        Some("UDP") => Some(Protocol::Udp),
        Some(_) => None,
    }
}

/// The port of this number; none for 0, with which the API says that there is none.
fn port(number: Option<u32>) -> Option<Port> {
    number.and_then(|number| u16::try_from(number).ok()).and_then(Port::new)
}

/// A port's name; the API leaves it empty where there is none.
fn name(name: Option<String>) -> Option<String> {
    name.filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
