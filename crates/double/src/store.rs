//! The objects, their revisions and the history of their changes: what etcd is to a real API server.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{Timestamp, Unit};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::Value;
use tokio::sync::watch;

use crate::resource::Resource;

/// Where a namespaced object goes that does not say.
const DEFAULT_NAMESPACE: &str = "default";

/// Why an object was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// No resource that is served has such objects.
    #[error("nothing is known of objects of the kind {kind:?} in {api_version:?}")]
    UnknownKind {
        /// As the object has it; empty if it has none.
        api_version: String,
        /// As the object has it; empty if it has none.
        kind: String,
    },
    /// The object has no name.
    #[error("the object has no metadata.name")]
    Nameless,
}

/// All objects.
#[derive(Debug)]
pub(crate) struct Store {
    content: Mutex<Content>,
    /// The revision, for those who wait for the next one.
    revision: watch::Sender<u64>,
}

#[derive(Debug)]
struct Content {
    revision: u64,
    /// What happened up to this revision is forgotten.
    compacted: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: Vec<Change>,
}

/// The place of an object. Objects are listed in this order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    resource: Resource,
    /// `NAMESPACE/NAME`, or `NAME`.
    path: String,
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    key: Key,
    pub(crate) before: Option<Arc<Value>>,
    pub(crate) after: Option<Arc<Value>>,
}

/// What is asked for is forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compacted {
    /// The last revision that is forgotten.
    pub(crate) revision: u64,
}

/// The objects of a resource at one moment, in order, each with its key.
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) objects: Vec<(String, Arc<Value>)>,
}

impl Store {
    /// A store with nothing in it, whose next revision follows this one.
    pub(crate) fn new(revision: u64) -> Self {
        let content = Content { revision, compacted: 0, objects: BTreeMap::new(), history: Vec::new() };
        Self { content: Mutex::new(content), revision: watch::Sender::new(revision) }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an object in as it is, without an event.
    pub(crate) fn lay(&self, resource: Resource, object: Value) {
        let key = Key { resource, path: path(&object) };
        self.content().objects.insert(key, Arc::new(object));
    }

    /// Creates or replaces an object. What changes nothing is no change.
    pub(crate) fn apply(&self, mut object: Value) -> Result<Arc<Value>, StoreError> {
        let resource = resource(&object)?;
        let metadata = &mut object["metadata"];
        if metadata["name"].as_str().is_none_or(str::is_empty) {
            return Err(StoreError::Nameless);
        }
        if resource.is_namespaced() && metadata["namespace"].as_str().is_none_or(str::is_empty) {
            metadata["namespace"] = DEFAULT_NAMESPACE.into();
        }
        let key = Key { resource, path: path(&object) };
        let mut content = self.content();
        let before = content.objects.get(&key).cloned();
        let metadata = &mut object["metadata"];
        if let Some(before) = &before {
            for field in ["uid", "creationTimestamp", "resourceVersion"] {
                metadata[field] = before["metadata"][field].clone();
            }
        } else {
            metadata["uid"] = uid().into();
            metadata["creationTimestamp"] = now().into();
        }
        if let Some(before) = before.as_ref().filter(|before| ***before == object) {
            return Ok(Arc::clone(before));
        }
        object["metadata"]["resourceVersion"] = (content.revision + 1).to_string().into();
        let after = Arc::new(object);
        content.change(key, before, Some(Arc::clone(&after)));
        self.revision.send_replace(content.revision);
        Ok(after)
    }

    /// Removes an object; whether there was one.
    pub(crate) fn delete(&self, resource: Resource, namespace: Option<&str>, name: &str) -> bool {
        let key = Key { resource, path: join(namespace, name) };
        let mut content = self.content();
        let Some(before) = content.objects.get(&key).cloned() else { return false };
        content.change(key, Some(before), None);
        self.revision.send_replace(content.revision);
        true
    }

    pub(crate) fn get(&self, resource: Resource, namespace: Option<&str>, name: &str) -> Option<Arc<Value>> {
        self.content().objects.get(&Key { resource, path: join(namespace, name) }).cloned()
    }

    /// Forgets the history.
    pub(crate) fn compact(&self) {
        let mut content = self.content();
        content.compacted = content.revision;
    }

    pub(crate) fn revision(&self) -> u64 {
        self.content().revision
    }

    /// Tells of every new revision.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The objects as they were at the revision; `None`: as they are.
    pub(crate) fn snapshot(&self, resource: Resource, at: Option<u64>) -> Result<Snapshot, Compacted> {
        let content = self.content();
        let revision = at.unwrap_or(content.revision);
        if revision < content.compacted {
            return Err(Compacted { revision: content.compacted });
        }
        let of_resource = content.objects.iter().filter(|(key, _)| key.resource == resource);
        let mut objects: BTreeMap<&str, &Arc<Value>> =
            of_resource.map(|(key, object)| (key.path.as_str(), object)).collect();
        let undone = content.history.iter().rev().take_while(|change| change.revision > revision);
        for change in undone.filter(|change| change.key.resource == resource) {
            match &change.before {
                Some(before) => objects.insert(&change.key.path, before),
                None => objects.remove(change.key.path.as_str()),
            };
        }
        let objects = objects.into_iter().map(|(path, object)| (path.to_owned(), Arc::clone(object))).collect();
        Ok(Snapshot { revision, objects })
    }

    /// Whether everything is known that happened after the revision.
    pub(crate) fn remembers(&self, revision: u64) -> Result<(), Compacted> {
        let compacted = self.content().compacted;
        if revision < compacted { Err(Compacted { revision: compacted }) } else { Ok(()) }
    }

    /// What happened to a resource's objects after the revision, and the revision now.
    pub(crate) fn changes(&self, resource: Resource, after: u64) -> (u64, Vec<Change>) {
        let content = self.content();
        let first = content.history.partition_point(|change| change.revision <= after);
        let changes = content.history[first..].iter().filter(|change| change.key.resource == resource);
        (content.revision, changes.cloned().collect())
    }
}

impl Content {
    fn change(&mut self, key: Key, before: Option<Arc<Value>>, after: Option<Arc<Value>>) {
        self.revision += 1;
        match &after {
            Some(object) => self.objects.insert(key.clone(), Arc::clone(object)),
            None => self.objects.remove(&key),
        };
        self.history.push(Change { revision: self.revision, key, before, after });
    }
}

fn resource(object: &Value) -> Result<Resource, StoreError> {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    Resource::of_kind(&api_version, &kind).ok_or(StoreError::UnknownKind { api_version, kind })
}

fn path(object: &Value) -> String {
    let metadata = &object["metadata"];
    join(metadata["namespace"].as_str(), metadata["name"].as_str().unwrap_or_default())
}

fn join(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// As the API writes a time: to the second.
pub(crate) fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

/// A random UUID, of version 4.
pub(crate) fn uid() -> String {
    let mut bytes = [0; 16];
    // Without randomness, which no supported system is, all objects would have one.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = u128::from_be_bytes(bytes);
    let text = format!("{hex:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(name: &str, port: u16) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
               "spec": {"ports": [{"port": port}]}})
    }

    fn names(store: &Store, at: Option<u64>) -> Vec<String> {
        let snapshot = store.snapshot(Resource::Services, at).unwrap();
        snapshot
            .objects
            .into_iter()
            .map(|(key, object)| format!("{key}:{}", object["spec"]["ports"][0]["port"]))
            .collect()
    }

    #[test]
    fn every_change_has_a_revision_and_past_states_are_known() {
        let store = Store::new(10);
        let first = store.apply(service("web", 80)).unwrap();
        assert_eq!(first["metadata"]["resourceVersion"], "11");
        store.apply(service("db", 5432)).unwrap();
        let second = store.apply(service("web", 81)).unwrap();
        assert_eq!(second["metadata"]["uid"], first["metadata"]["uid"]);
        assert!(store.delete(Resource::Services, Some("shop"), "db"));
        assert!(!store.delete(Resource::Services, Some("shop"), "db"));

        assert_eq!(names(&store, None), ["shop/web:81"]);
        assert_eq!(names(&store, Some(13)), ["shop/db:5432", "shop/web:81"]);
        assert_eq!(names(&store, Some(12)), ["shop/db:5432", "shop/web:80"]);
        assert_eq!(names(&store, Some(10)), [""; 0]);
        let (revision, changes) = store.changes(Resource::Services, 12);
        assert_eq!((revision, changes.iter().map(|change| change.revision).collect()), (14, vec![13, 14]));
    }

    #[test]
    fn what_changes_nothing_is_no_change() {
        let store = Store::new(0);
        let first = store.apply(service("web", 80)).unwrap();
        assert_eq!(store.apply(service("web", 80)).unwrap(), first);
        assert_eq!(store.revision(), 1);
    }

    #[test]
    fn a_compacted_past_is_forgotten() {
        let store = Store::new(0);
        store.apply(service("web", 80)).unwrap();
        store.apply(service("web", 81)).unwrap();
        store.compact();
        assert_eq!(names(&store, Some(2)), ["shop/web:81"]);
        assert_eq!(store.snapshot(Resource::Services, Some(1)).err().unwrap().revision, 2);
        assert!(store.remembers(1).is_err() && store.remembers(2).is_ok());
    }

    #[test]
    fn objects_that_belong_nowhere_are_refused() {
        let store = Store::new(0);
        let unknown = store.apply(json!({"apiVersion": "v1", "kind": "Secret"})).unwrap_err();
        assert!(matches!(unknown, StoreError::UnknownKind { kind, .. } if kind == "Secret"));
        let nameless = store.apply(json!({"apiVersion": "v1", "kind": "Pod"})).unwrap_err();
        assert!(matches!(nameless, StoreError::Nameless));
    }
}
