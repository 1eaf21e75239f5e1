//! Getting and listing objects.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::options::{List, Options, Start};
use crate::page::Token;
use crate::request::Attributes;
use crate::resource::Resource;
use crate::status::Status;
use crate::store::{Snapshot, Store};

/// One object.
pub(crate) fn get(store: &Store, request: &Attributes, name: &str) -> Result<Arc<Value>, Status> {
    let namespace = if request.resource.is_namespaced() { request.namespace.as_deref() } else { None };
    store.get(request.resource, namespace, name).ok_or_else(|| Status::not_found(request.resource, name))
}

/// A list, or a page of one.
pub(crate) fn list(store: &Store, request: &Attributes, options: &Options<List>) -> Result<Value, Status> {
    let resource = request.resource;
    let (snapshot, start, consistent) = snapshot(store, resource, &options.ask.start)?;
    let seen: Vec<&(String, Arc<Value>)> = snapshot
        .objects
        .iter()
        .filter(|(key, object)| *key >= start && in_namespace(request, object) && options.selector.matches(object))
        .collect();
    let page = &seen[..options.ask.limit.unwrap_or(seen.len()).min(seen.len())];
    let mut metadata = json!({"resourceVersion": snapshot.revision.to_string()});
    let left = seen.len() - page.len();
    if let Some((last, _)) = page.last().filter(|_| left > 0) {
        metadata["continue"] = Token::after(last, consistent.then_some(snapshot.revision)).text().into();
        // What a selector leaves over, a real server does not count.
        if options.selector.is_empty() {
            metadata["remainingItemCount"] = left.into();
        }
    }
    Ok(json!({
        "kind": format!("{}List", resource.kind()),
        "apiVersion": resource.api_version(),
        "metadata": metadata,
        "items": page.iter().map(|(_, object)| item(object)).collect::<Vec<_>>(),
    }))
}

/// The state that a list shows, the key that it starts at, and whether its later pages show that state, too.
fn snapshot(store: &Store, resource: Resource, start: &Start) -> Result<(Snapshot, String, bool), Status> {
    let current = store.revision();
    let too_old = |_| Status::expired("The resourceVersion for the provided list is too old.");
    let beginning = String::new();
    match start {
        Start::NotOlderThan(wanted) | Start::Exactly(wanted) if *wanted > current => {
            Err(Status::too_large(*wanted, current))
        }
        Start::Newest | Start::NotOlderThan(_) => {
            Ok((store.snapshot(resource, None).map_err(too_old)?, beginning, true))
        }
        Start::Exactly(wanted) => Ok((store.snapshot(resource, Some(*wanted)).map_err(too_old)?, beginning, true)),
        Start::Continued(token) => {
            let gone = |_| Status::expired_list(token.clone().inconsistent().text());
            let snapshot = store.snapshot(resource, token.revision()).map_err(gone)?;
            Ok((snapshot, token.start.clone(), token.revision().is_some()))
        }
    }
}

/// Whether the request is for the object's namespace, or for all.
pub(crate) fn in_namespace(request: &Attributes, object: &Value) -> bool {
    request.namespace.is_none() || request.namespace.as_deref() == object["metadata"]["namespace"].as_str()
}

/// An object as it stands in a list, where its kind goes without saying.
fn item(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}
