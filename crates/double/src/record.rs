//! What there is at first: the lists that were recorded from a Kubernetes 1.36, and what they refer to.

use serde_json::{Value, json};

use crate::object::{deployment, namespace, replica_set};
use crate::resource::Resource;
use crate::store::{Store, uid};

/// The revision at which the lists were recorded.
pub(crate) const REVISION: u64 = 346;

const LISTS: [(Resource, &str); 4] = [
    (Resource::Services, include_str!("../fixtures/services.json")),
    (Resource::EndpointSlices, include_str!("../fixtures/endpointslices.json")),
    (Resource::Pods, include_str!("../fixtures/pods.json")),
    (Resource::Nodes, include_str!("../fixtures/nodes.json")),
];

/// The `ReplicaSet` that owns the recorded Pod.
const REPLICA_SET: &str = "0699bf04-a9c8-48b9-a1c1-c46df33e7830";

/// When the recorded cluster was set up, and its application was.
const TIMES: (&str, &str) = ("2026-11-22T21:37:01Z", "2026-11-22T21:37:14Z");

/// A store with all that in it.
pub(crate) fn store() -> Store {
    let store = Store::new(REVISION);
    for (resource, list) in LISTS {
        let mut list: Value = serde_json::from_str(list).unwrap_or_default();
        for object in list["items"].as_array_mut().into_iter().flatten() {
            object["kind"] = resource.kind().into();
            object["apiVersion"] = resource.api_version().into();
            store.lay(resource, object.take());
        }
    }
    for (name, revision) in [("default", 30), ("kube-node-lease", 7), ("kube-public", 6), ("kube-system", 4)] {
        store.lay(Resource::Namespaces, dated(namespace(name), revision, &uid(), TIMES.0));
    }
    store.lay(Resource::Namespaces, dated(namespace("backend"), 259, &uid(), TIMES.1));
    let owner = uid();
    let deployment = deployment("echo", "backend").selecting("app", "echo");
    store.lay(Resource::Deployments, dated(deployment.into(), 298, &owner, TIMES.1));
    let replica_set = replica_set("echo-6d4f68dbd7", "backend")
        .selecting("app", "echo")
        .selecting("pod-template-hash", "6d4f68dbd7")
        .owned_by("Deployment", "echo", &owner);
    store.lay(Resource::ReplicaSets, dated(replica_set.into(), 292, REPLICA_SET, TIMES.1));
    store
}

fn dated(mut object: Value, revision: u64, uid: &str, time: &str) -> Value {
    object["metadata"]["uid"] = json!(uid);
    object["metadata"]["resourceVersion"] = json!(revision.to_string());
    object["metadata"]["creationTimestamp"] = json!(time);
    object
}
