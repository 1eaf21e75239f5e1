//! What is kept of the API's objects: read from its JSON, and turned into the model of `portgate_core`.
//!
//! Only the fields that decide where a mapping leads are read. The others, most of an object, are skipped as they are
//! parsed and never kept.

mod node;
mod pod;
mod sequence;
mod service;
mod slice;
mod weight;
mod workload;

use std::fmt;
use std::marker::PhantomData;

use kube::core::Status;
use portgate_core::kubernetes::{Pod, Service};
use portgate_core::limits::{API_KEPT, API_OBJECTS, API_PARAMETER, Limit};
use portgate_core::port::{Port, Protocol};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::answer::cut;
use crate::resource::Resource;
use sequence::converted;

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
    Refused(Box<Status>),
}

/// Why an answer is not read.
#[derive(Debug)]
pub(crate) enum Unread {
    /// It is not what the API writes.
    Malformed(serde_json::Error),
    /// It has more than this.
    TooMuch(Limit),
}

impl From<serde_json::Error> for Unread {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error)
    }
}

impl From<Limit> for Unread {
    fn from(limit: Limit) -> Self {
        Self::TooMuch(limit)
    }
}

/// Reads a page of a list.
pub(crate) fn page(resource: Resource, text: &[u8]) -> Result<Page, Unread> {
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
pub(crate) fn names(text: &[u8]) -> Result<Page, Unread> {
    page_of::<Nameplate>(text)
}

/// Reads a line of a watch.
pub(crate) fn event(resource: Resource, line: &[u8]) -> Result<Event, Unread> {
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
    fn parts(self) -> Result<(Meta, Item), Limit>;

    fn object(self) -> Result<Object, Limit> {
        let (meta, item) = self.parts()?;
        let version = parameter(meta.resource_version)?;
        Ok(Object { place: (meta.namespace, meta.name), version, item })
    }
}

/// A text that becomes part of a request.
fn parameter(text: String) -> Result<String, Limit> {
    if text.len() > API_PARAMETER.most { Err(API_PARAMETER) } else { Ok(text) }
}

#[derive(Deserialize)]
#[serde(bound = "R: Raw")]
struct List<R> {
    #[serde(default)]
    metadata: ListMeta,
    items: Option<Items<R>>,
}

/// The objects of a list, up to the limits.
struct Items<R> {
    objects: Result<Vec<Object>, Limit>,
    raw: PhantomData<R>,
}

impl<'de, R: Raw> Deserialize<'de> for Items<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let objects = deserializer.deserialize_seq(Objects::<R>(PhantomData))?;
        Ok(Self { objects, raw: PhantomData })
    }
}

/// Reads objects one by one. After one that is too much, the others are skipped.
struct Objects<R>(PhantomData<R>);

impl<'de, R: Raw> Visitor<'de> for Objects<R> {
    type Value = Result<Vec<Object>, Limit>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let (mut objects, mut weight) = (Vec::new(), 0);
        while let Some(raw) = list.next_element::<R>()? {
            let admitted = raw.object().and_then(|object| {
                weight += object.weight();
                admit(object, objects.len(), weight)
            });
            match admitted {
                Ok(object) => objects.push(object),
                Err(limit) => {
                    while list.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(Err(limit));
                }
            }
        }
        Ok(Ok(objects))
    }
}

/// One more object, if so many before it and the weight of all are within the limits.
fn admit(object: Object, before: usize, weight: usize) -> Result<Object, Limit> {
    if before >= API_OBJECTS.most {
        Err(API_OBJECTS)
    } else if weight > API_KEPT.most {
        Err(API_KEPT)
    } else {
        Ok(object)
    }
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
    fn parts(self) -> Result<(Meta, Item), Limit> {
        Ok((self.metadata, Item::Other))
    }
}

fn page_of<R: Raw>(text: &[u8]) -> Result<Page, Unread> {
    let list: List<R> = serde_json::from_slice(text)?;
    let next = Some(parameter(list.metadata.r#continue)?).filter(|token| !token.is_empty());
    let objects = list.items.map_or(Ok(Vec::new()), |items| items.objects)?;
    Ok(Page { objects, version: parameter(list.metadata.resource_version)?, next })
}

/// A line of a watch. Its object is read once its type is known.
#[derive(Deserialize)]
struct Line<'a> {
    r#type: EventType,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum EventType {
    Added,
    Modified,
    Deleted,
    Bookmark,
    Error,
}

/// What counts of a `Status`.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    message: String,
}

fn event_of<R: Raw>(line: &[u8]) -> Result<Event, Unread> {
    let Line { r#type, object } = serde_json::from_slice(line)?;
    let text = object.get();
    Ok(match r#type {
        EventType::Added | EventType::Modified => Event::Put(serde_json::from_str::<R>(text)?.object()?),
        EventType::Deleted => {
            let Object { place, version, .. } = serde_json::from_str::<Nameplate>(text)?.object()?;
            Event::Gone(place, version)
        }
        EventType::Bookmark => Event::Bookmark(serde_json::from_str::<Nameplate>(text)?.object()?.version),
        EventType::Error => {
            let Refusal { code, message } = serde_json::from_str(text)?;
            Event::Refused(Status::failure(&cut(&message), "").with_code(code).boxed())
        }
    })
}

/// One of an object's `status.conditions`.
#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// Whether the condition Ready holds.
fn is_ready<'de, D: Deserializer<'de>>(conditions: D) -> Result<bool, D::Error> {
    let holds = |condition: Condition| (condition.r#type == "Ready" && condition.status == "True").then_some(());
    Ok(!converted(conditions, holds)?.is_empty())
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
