//! Objects to apply, with the fields that a real server sets.
//!
//! What the server alone knows (`uid`, `resourceVersion`, `creationTimestamp`), they get when they are applied.

mod endpoint_slice;
mod hostile;
mod pod;
mod service;
mod workload;

use serde_json::{Value, json};

pub use endpoint_slice::{EndpointSlice, endpoint_slice};
pub use hostile::{FOREIGN_ADDRESSES, FOREIGN_NAMES};
pub use pod::{Pod, pod};
pub use service::{Service, service};
pub use workload::{Workload, daemon_set, deployment, replica_set, stateful_set};

use crate::resource::Resource;

/// A Namespace.
pub fn namespace(name: &str) -> Value {
    let mut object = object(Resource::Namespaces, name, None);
    object["metadata"]["labels"] = json!({"kubernetes.io/metadata.name": name});
    object["spec"] = json!({"finalizers": ["kubernetes"]});
    object["status"] = json!({"phase": "Active"});
    object
}

/// A Node that is ready, at this address.
pub fn node(name: &str, address: &str) -> Value {
    let mut object = object(Resource::Nodes, name, None);
    object["metadata"]["labels"] = json!({"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"});
    object["spec"] = json!({});
    object["status"] = json!({
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady",
            "message": "kubelet is posting ready status"}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {"kubeletVersion": "v1.36.0", "operatingSystem": "linux"},
    });
    object
}

/// An object with a name and nothing else.
fn object(resource: Resource, name: &str, namespace: Option<&str>) -> Value {
    let mut metadata = json!({"name": name});
    if let Some(namespace) = namespace {
        metadata["namespace"] = namespace.into();
    }
    json!({"kind": resource.kind(), "apiVersion": resource.api_version(), "metadata": metadata})
}

/// Adds to an array, which is made if there is none.
fn push(array: &mut Value, item: Value) {
    match array {
        Value::Array(items) => items.push(item),
        other => *other = json!([item]),
    }
}

fn own(object: &mut Value, kind: &str, name: &str, uid: &str) {
    let version = if kind == "Service" || kind == "Node" { "v1" } else { "apps/v1" };
    push(
        &mut object["metadata"]["ownerReferences"],
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true,
            "blockOwnerDeletion": true}),
    );
}
