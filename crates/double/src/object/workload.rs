//! Deployments, `StatefulSets`, `DaemonSets` and `ReplicaSets`.

use serde_json::{Value, json};

use super::{object, own};
use crate::resource::Resource;

/// A workload that is being made.
#[derive(Clone, Debug)]
pub struct Workload(Value);

/// A Deployment with one replica, which is ready.
pub fn deployment(name: &str, namespace: &str) -> Workload {
    let mut object = workload(Resource::Deployments, name, namespace);
    object["spec"]["replicas"] = 1.into();
    object["spec"]["strategy"] = json!({
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    });
    object["status"] = json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1});
    Workload(object)
}

/// A `ReplicaSet` with one replica, which is ready.
pub fn replica_set(name: &str, namespace: &str) -> Workload {
    let mut object = workload(Resource::ReplicaSets, name, namespace);
    object["spec"]["replicas"] = 1.into();
    object["status"] = json!({"observedGeneration": 1, "replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1});
    Workload(object)
}

/// A `StatefulSet` with one replica, which is ready.
pub fn stateful_set(name: &str, namespace: &str) -> Workload {
    let mut object = workload(Resource::StatefulSets, name, namespace);
    object["spec"]["replicas"] = 1.into();
    object["spec"]["serviceName"] = name.into();
    object["spec"]["updateStrategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}});
    object["status"] = json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "availableReplicas": 1});
    Workload(object)
}

/// A `DaemonSet` on one node, where it is ready.
pub fn daemon_set(name: &str, namespace: &str) -> Workload {
    let mut object = workload(Resource::DaemonSets, name, namespace);
    object["spec"]["updateStrategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}});
    object["status"] = json!({"observedGeneration": 1, "currentNumberScheduled": 1, "numberMisscheduled": 0,
        "desiredNumberScheduled": 1, "numberReady": 1, "numberAvailable": 1});
    Workload(object)
}

fn workload(resource: Resource, name: &str, namespace: &str) -> Value {
    let mut object = object(resource, name, Some(namespace));
    object["metadata"]["generation"] = 1.into();
    object["spec"] = json!({
        "selector": {"matchLabels": {}},
        "template": {
            "metadata": {"labels": {}},
            "spec": {"containers": [{"name": "c", "image": "docker.io/local/app:1", "resources": {}}]},
        },
    });
    object
}

impl Workload {
    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// Whose Pods have this label.
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.0["spec"]["selector"]["matchLabels"][key] = value.into();
        self.0["spec"]["template"]["metadata"]["labels"][key] = value.into();
        self
    }

    /// Of this workload: `Deployment`, name, uid.
    #[must_use]
    pub fn owned_by(mut self, kind: &str, name: &str, uid: &str) -> Self {
        own(&mut self.0, kind, name, uid);
        self
    }
}

impl From<Workload> for Value {
    fn from(workload: Workload) -> Self {
        workload.0
    }
}
