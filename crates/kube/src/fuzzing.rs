//! The readers of an API server's JSON, for the fuzz targets: they are private, because nobody else needs them.

use std::sync::Arc;

use portgate_core::kubernetes::{Kind, ObjectKey, Objects};

use crate::access::Access;
use crate::error::{Call, Error, Verb};
use crate::known::Known;
use crate::objects::{self, Event, Item, Object};
use crate::resource::{By, Resource, Selection};

/// Reads a page of a list of these objects. Returns what is known afterwards, unless the page is not read.
pub fn list(resource: Resource, text: &[u8]) -> Option<Objects> {
    known(resource, objects::page(resource, text).ok()?.objects)
}

/// Reads a page of a list of which only the names are wanted. Returns how many there are.
pub fn names(text: &[u8]) -> Option<usize> {
    objects::names(text).ok().map(|page| page.objects.len())
}

/// Reads a line of a watch for these objects. Returns what is known afterwards, or the server's refusal.
pub fn event(resource: Resource, line: &[u8], access: &Arc<Access>) -> Option<Result<Objects, Error>> {
    let objects = match objects::event(resource, line).ok()? {
        Event::Put(object) => vec![object],
        Event::Gone(..) | Event::Bookmark(_) => Vec::new(),
        Event::Refused(status) => {
            let call =
                Call { verb: Verb::Watch, resource: Some(resource), namespace: None, access: Arc::clone(access) };
            return Some(Err(Error::of_status(call, &status)));
        }
    };
    known(resource, objects).map(Ok)
}

fn known(resource: Resource, objects: Vec<Object>) -> Option<Objects> {
    let pod = |object: &Object| match object.item {
        Item::Pod(_) => {
            Some(ObjectKey { kind: Kind::Pod, namespace: object.place.0.clone(), name: object.place.1.clone() })
        }
        _ => None,
    };
    let pods: Vec<ObjectKey> = objects.iter().filter_map(pod).collect();
    let mut known = Known::default();
    known.set(&Selection { resource, namespace: None, by: By::All }, objects).ok()?;
    Some(known.objects(&known.service_keys().into_iter().chain(pods).collect()))
}
