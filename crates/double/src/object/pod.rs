//! Pods.

use serde_json::{Value, json};

use super::{object, own, push};
use crate::resource::Resource;

/// The conditions of a Pod that is ready or not; the others hold all the same.
const READINESS: [&str; 2] = ["Ready", "ContainersReady"];

/// A Pod that is being made.
#[derive(Clone, Debug)]
pub struct Pod(Value);

/// A Pod that runs and is ready, with one container, on no node yet.
pub fn pod(name: &str, namespace: &str) -> Pod {
    let mut object = object(Resource::Pods, name, Some(namespace));
    object["metadata"]["generation"] = 1.into();
    object["spec"] = json!({
        "containers": [{"name": "c", "image": "docker.io/local/app:1", "resources": {}}],
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "schedulerName": "default-scheduler",
    });
    let conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
        .map(|condition| json!({"type": condition, "status": "True", "lastProbeTime": null}));
    object["status"] = json!({
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": [{"name": "c", "ready": true, "started": true, "restartCount": 0, "state": {"running": {}},
            "lastState": {}, "image": "docker.io/local/app:1", "imageID": ""}],
        "qosClass": "BestEffort",
    });
    Pod(object)
}

impl Pod {
    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// On the node of this name, which has this address.
    #[must_use]
    pub fn on(mut self, node: &str, address: &str) -> Self {
        self.0["spec"]["nodeName"] = node.into();
        self.0["status"]["hostIP"] = address.into();
        self.0["status"]["hostIPs"] = json!([{"ip": address}]);
        self
    }

    /// With this address.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        self.0["status"]["podIP"] = address.into();
        self.0["status"]["podIPs"] = json!([{"ip": address}]);
        self
    }

    /// With a TCP port of its container; without a name if it is empty.
    #[must_use]
    pub fn port(self, name: &str, number: u16) -> Self {
        self.protocol_port(name, number, "TCP")
    }

    /// With a UDP port of its container.
    #[must_use]
    pub fn udp_port(self, name: &str, number: u16) -> Self {
        self.protocol_port(name, number, "UDP")
    }

    fn protocol_port(mut self, name: &str, number: u16, protocol: &str) -> Self {
        let mut port = json!({"containerPort": number, "protocol": protocol});
        if !name.is_empty() {
            port["name"] = name.into();
        }
        push(&mut self.0["spec"]["containers"][0]["ports"], port);
        self
    }

    /// Of this workload: `ReplicaSet`, name, uid.
    #[must_use]
    pub fn owned_by(mut self, kind: &str, name: &str, uid: &str) -> Self {
        own(&mut self.0, kind, name, uid);
        self
    }

    /// Running, but not ready.
    #[must_use]
    pub fn unready(mut self) -> Self {
        for condition in self.0["status"]["conditions"].as_array_mut().into_iter().flatten() {
            if READINESS.iter().any(|readiness| condition["type"] == *readiness) {
                condition["status"] = "False".into();
            }
        }
        self.0["status"]["containerStatuses"][0]["ready"] = false.into();
        self
    }

    /// In another phase than `Running`, and not ready.
    #[must_use]
    pub fn phase(self, phase: &str) -> Self {
        let mut pod = self.unready();
        pod.0["status"]["phase"] = phase.into();
        pod
    }

    /// About to end.
    #[must_use]
    pub fn terminating(mut self) -> Self {
        self.0["metadata"]["deletionTimestamp"] = crate::store::now().into();
        self.0["metadata"]["deletionGracePeriodSeconds"] = 30.into();
        self
    }
}

impl From<Pod> for Value {
    fn from(pod: Pod) -> Self {
        pod.0
    }
}
