//! What is known of the objects that are wanted, and what has to be asked for to know all.

use std::collections::{BTreeMap, BTreeSet};

use portgate_core::kubernetes::{Kind, ObjectKey, Objects, Pod, Service};
use portgate_core::limits::{API_KEPT, Limit};

use crate::objects::{self, Item, Object, Place, Slice};
use crate::resource::{By, Resource, Selection};

/// For each selection that was asked for, its objects.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<Selection, Items>);

/// The objects of a selection, and about how many bytes they take.
#[derive(Debug, Default)]
struct Items {
    items: BTreeMap<Place, Item>,
    weight: usize,
}

impl Items {
    fn put(&mut self, object: Object) {
        self.remove(&object.place);
        self.weight += weight(&object.place, &object.item);
        self.items.insert(object.place, object.item);
    }

    fn remove(&mut self, place: &Place) {
        if let Some(item) = self.items.remove(place) {
            self.weight -= weight(place, &item);
        }
    }
}

fn weight(place: &Place, item: &Item) -> usize {
    size_of_val(place) + place.0.len() + place.1.len() + size_of_val(item) + item.weight()
}

impl Known {
    /// These are all objects of the selection. If they are too many beside those of the others, what was known stays.
    pub(crate) fn set(&mut self, selection: &Selection, objects: Vec<Object>) -> Result<(), Limit> {
        let mut items = Items::default();
        for object in objects {
            items.put(object);
        }
        let before = self.0.get(selection).map_or(0, |items| items.weight);
        self.admit(items.weight, before)?;
        self.0.insert(selection.clone(), items);
        Ok(())
    }

    /// This object of the selection is new or has changed. If it is too large beside the others, what was known stays.
    pub(crate) fn put(&mut self, selection: &Selection, object: Object) -> Result<(), Limit> {
        let Some(items) = self.0.get(selection) else { return Ok(()) };
        let before = items.items.get(&object.place).map_or(0, |item| weight(&object.place, item));
        self.admit(weight(&object.place, &object.item), before)?;
        if let Some(items) = self.0.get_mut(selection) {
            items.put(object);
        }
        Ok(())
    }

    /// Whether there is room for so much in the place of so much.
    fn admit(&self, new: usize, old: usize) -> Result<(), Limit> {
        let all: usize = self.0.values().map(|items| items.weight).sum();
        if new > old && all - old + new > API_KEPT.most { Err(API_KEPT) } else { Ok(()) }
    }

    /// This object of the selection is gone.
    pub(crate) fn remove(&mut self, selection: &Selection, place: &Place) {
        if let Some(items) = self.0.get_mut(selection) {
            items.remove(place);
        }
    }

    /// The selection is not asked for any more, but `successors` are: what they have in common stays known until they
    /// are answered.
    pub(crate) fn hand_over<'a>(&mut self, selection: &Selection, successors: impl IntoIterator<Item = &'a Selection>) {
        let Some(Items { items, .. }) = self.0.remove(selection) else { return };
        for successor in successors {
            if successor.resource == selection.resource && successor.namespace == selection.namespace {
                let common = items.iter().filter(|(place, item)| is_in(place, item, &successor.by));
                let successor = self.0.entry(successor.clone()).or_default();
                for (place, item) in common {
                    successor.put(Object { place: place.clone(), version: String::new(), item: item.clone() });
                }
            }
        }
    }

    /// Whether anything is known of the selection.
    pub(crate) fn has(&self, selection: &Selection) -> bool {
        self.0.contains_key(selection)
    }

    /// What has to be asked for, as far as it is known: the pods of a workload are those of its selector.
    ///
    /// Of one namespace one object of a kind is asked for by its name, so that the right to see it is enough; if there
    /// are several, all are asked for at once.
    pub(crate) fn wanted(&self, keys: &BTreeSet<ObjectKey>, nodes: bool) -> BTreeSet<Selection> {
        let mut wanted = BTreeSet::new();
        let mut names: BTreeMap<(Kind, &str), Vec<&str>> = BTreeMap::new();
        for key in keys {
            names.entry((key.kind, &key.namespace)).or_default().push(&key.name);
        }
        for ((kind, namespace), names) in names {
            let mut want = |resource: Resource, by: By| {
                wanted.insert(Selection { resource, namespace: Some(namespace.to_owned()), by });
            };
            match (kind, names.as_slice()) {
                (Kind::Service, [name]) => {
                    want(Resource::Services, By::Name((*name).to_owned()));
                    want(Resource::EndpointSlices, By::Service((*name).to_owned()));
                }
                (Kind::Service, _) => {
                    want(Resource::Services, By::All);
                    want(Resource::EndpointSlices, By::All);
                }
                (Kind::Pod, [name]) => want(Resource::Pods, By::Name((*name).to_owned())),
                (Kind::Pod, _) => want(Resource::Pods, By::All),
                (Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet, names) => {
                    for name in names {
                        want(kind.into(), By::Name((*name).to_owned()));
                    }
                }
            }
        }
        wanted.extend(keys.iter().filter_map(|key| self.pods_of(key)));
        if nodes {
            wanted.insert(Selection { resource: Resource::Nodes, namespace: None, by: By::All });
        }
        wanted
    }

    /// The pods of a workload; none if the object is none, is not known or selects none.
    fn pods_of(&self, key: &ObjectKey) -> Option<Selection> {
        match self.workload(key)? {
            Item::Workload(Some(selector)) => Some(Selection {
                resource: Resource::Pods,
                namespace: Some(key.namespace.clone()),
                by: By::Labels(selector.clone()),
            }),
            _ => None,
        }
    }

    fn workload(&self, key: &ObjectKey) -> Option<&Item> {
        let selection = Selection {
            resource: key.kind.into(),
            namespace: Some(key.namespace.clone()),
            by: By::Name(key.name.clone()),
        };
        self.0.get(&selection)?.items.get(&place(key)).filter(|item| matches!(item, Item::Workload(_)))
    }

    /// All that is known of these. What does not exist is not in it.
    pub(crate) fn objects(&self, keys: &BTreeSet<ObjectKey>) -> Objects {
        let services = self.services();
        let slices = self.slices();
        let mut objects = Objects { ready_nodes: self.ready_nodes(), ..Objects::default() };
        for key in keys {
            match key.kind {
                Kind::Service => {
                    if let Some(service) = services.get(&place(key)) {
                        let slices = slices.get(&(key.namespace.as_str(), key.name.as_str()));
                        let endpoints = objects::join(slices.into_iter().flatten().copied());
                        objects.services.insert(key.clone(), Service { endpoints, ..(*service).clone() });
                    }
                }
                Kind::Pod => {
                    if let Some(pod) = self.pod(&place(key)) {
                        objects.pods.insert(key.clone(), vec![pod.clone()]);
                    }
                }
                Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => {
                    if self.workload(key).is_some() {
                        let selected = self.pods_of(key).and_then(|selection| self.0.get(&selection));
                        let pods =
                            selected.into_iter().flat_map(|pods| &pods.items).filter_map(|(_, item)| as_pod(item));
                        objects.pods.insert(key.clone(), pods.cloned().collect());
                    }
                }
            }
        }
        objects
    }

    /// The keys of all Services that are known.
    pub(crate) fn service_keys(&self) -> BTreeSet<ObjectKey> {
        let key = |(namespace, name): &Place| ObjectKey {
            kind: Kind::Service,
            namespace: namespace.clone(),
            name: name.clone(),
        };
        self.services().into_keys().map(key).collect()
    }

    fn of(&self, resource: Resource) -> impl Iterator<Item = (&Place, &Item)> {
        self.0.iter().filter(move |(selection, _)| selection.resource == resource).flat_map(|(_, items)| &items.items)
    }

    fn services(&self) -> BTreeMap<&Place, &Service> {
        let services = self.of(Resource::Services);
        services.filter_map(|(place, item)| as_service(item).map(|service| (place, service))).collect()
    }

    /// The slices of each Service, by its namespace and name.
    fn slices(&self) -> BTreeMap<(&str, &str), Vec<&Slice>> {
        let mut slices: BTreeMap<_, Vec<&Slice>> = BTreeMap::new();
        for ((namespace, _), item) in self.of(Resource::EndpointSlices) {
            if let Item::Slice(slice) = item {
                slices.entry((namespace.as_str(), slice.service.as_str())).or_default().push(slice);
            }
        }
        slices
    }

    fn pod(&self, place: &Place) -> Option<&Pod> {
        self.of(Resource::Pods).filter(|(at, _)| *at == place).find_map(|(_, item)| as_pod(item))
    }

    /// None if the nodes were not asked for, or not answered.
    fn ready_nodes(&self) -> Option<BTreeSet<String>> {
        let nodes = Selection { resource: Resource::Nodes, namespace: None, by: By::All };
        let nodes = self.0.get(&nodes)?;
        Some(
            nodes
                .items
                .iter()
                .filter(|(_, item)| **item == Item::Node(true))
                .map(|((_, name), _)| name.clone())
                .collect(),
        )
    }
}

/// Whether an object is among these, as far as can be told.
fn is_in(place: &Place, item: &Item, by: &By) -> bool {
    match by {
        By::All => true,
        By::Name(name) => place.1 == *name,
        By::Service(name) => matches!(item, Item::Slice(slice) if slice.service == *name),
        By::Labels(_) => false,
    }
}

fn place(key: &ObjectKey) -> Place {
    (key.namespace.clone(), key.name.clone())
}

fn as_service(item: &Item) -> Option<&Service> {
    match item {
        Item::Service(service) => Some(service),
        _ => None,
    }
}

fn as_pod(item: &Item) -> Option<&Pod> {
    match item {
        Item::Pod(pod) => Some(pod),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
