//! The readers of an API server's JSON, for the fuzz targets: they are private, because nobody else needs them.

use std::sync::Arc;

use portgate_core::kubernetes::{Kind, ObjectKey, Objects};

use crate::access::Access;
use crate::error::{Call, Error, Verb};
use crate::known::Known;
use crate::objects::{self, Event, Item, Object};
use crate::resource::{By, Resource, Selection};

/// Reads a page of a list of these objects. Returns what is known afterwards.
pub fn list(resource: Resource, text: &str) -> serde_json::Result<Objects> {
    let page = objects::page(resource, text)?;
    Ok(known(resource, page.objects))
}

/// Reads a page of a list of which only the names are wanted. Returns how many there are.
pub fn names(text: &str) -> serde_json::Result<usize> {
    objects::names(text).map(|page| page.objects.len())
}

/// Reads a line of a watch for these objects. Returns what is known afterwards, or the server's refusal.
pub fn event(resource: Resource, line: &str, access: &Arc<Access>) -> serde_json::Result<Result<Objects, Error>> {
    let objects = match objects::event(resource, line)? {
        Event::Put(object) => vec![object],
        Event::Gone(..) | Event::Bookmark(_) => Vec::new(),
        Event::Refused(status) => {
            let call =
                Call { verb: Verb::Watch, resource: Some(resource), namespace: None, access: Arc::clone(access) };
            return Ok(Err(Error::of_status(call, &status)));
        }
    };
    Ok(Ok(known(resource, objects)))
}

fn known(resource: Resource, objects: Vec<Object>) -> Objects {
    let pod = |object: &Object| match object.item {
        Item::Pod(_) => {
            Some(ObjectKey { kind: Kind::Pod, namespace: object.place.0.clone(), name: object.place.1.clone() })
        }
        _ => None,
    };
    let pods: Vec<ObjectKey> = objects.iter().filter_map(pod).collect();
    let mut known = Known::default();
    known.set(&Selection { resource, namespace: None, by: By::All }, objects);
    known.objects(&known.service_keys().into_iter().chain(pods).collect())
}
