//! `EndpointSlices`.

use serde_json::{Value, json};

use super::{object, own, push};
use crate::resource::Resource;

/// An `EndpointSlice` that is being made.
#[derive(Clone, Debug)]
pub struct EndpointSlice(Value);

/// A Service's `EndpointSlice` for IPv4, without a port or an endpoint. Its name is the Service's and `-1`.
pub fn endpoint_slice(service: &str, namespace: &str) -> EndpointSlice {
    let mut object = object(Resource::EndpointSlices, &format!("{service}-1"), Some(namespace));
    object["metadata"]["generateName"] = format!("{service}-").into();
    object["metadata"]["generation"] = 1.into();
    object["metadata"]["labels"] = json!({
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "kubernetes.io/service-name": service,
    });
    object["addressType"] = "IPv4".into();
    object["endpoints"] = Value::Null;
    object["ports"] = Value::Null;
    EndpointSlice(object)
}

impl EndpointSlice {
    /// With this end of its name: a Service can have several.
    #[must_use]
    pub fn number(mut self, number: u32) -> Self {
        let prefix = self.0["metadata"]["generateName"].as_str().unwrap_or_default();
        self.0["metadata"]["name"] = format!("{prefix}{number}").into();
        self
    }

    /// Of the Service with this uid.
    #[must_use]
    pub fn owned_by(mut self, uid: &str) -> Self {
        let service = self.0["metadata"]["labels"]["kubernetes.io/service-name"].as_str().unwrap_or_default();
        let service = service.to_owned();
        own(&mut self.0, "Service", &service, uid);
        self
    }

    /// For IPv6.
    #[must_use]
    pub fn ipv6(mut self) -> Self {
        self.0["addressType"] = "IPv6".into();
        self
    }

    /// With a TCP port; without a name if it is empty.
    #[must_use]
    pub fn port(mut self, name: &str, number: u16) -> Self {
        push(&mut self.0["ports"], json!({"name": name, "protocol": "TCP", "port": number}));
        self
    }

    /// With a UDP port.
    #[must_use]
    pub fn udp_port(mut self, name: &str, number: u16) -> Self {
        push(&mut self.0["ports"], json!({"name": name, "protocol": "UDP", "port": number}));
        self
    }

    /// With a Pod that is ready.
    #[must_use]
    pub fn endpoint(self, address: &str, node: &str, pod: &str) -> Self {
        self.conditions(address, node, pod, &json!({"ready": true, "serving": true, "terminating": false}))
    }

    /// With a Pod that is not ready.
    #[must_use]
    pub fn unready_endpoint(self, address: &str, node: &str, pod: &str) -> Self {
        self.conditions(address, node, pod, &json!({"ready": false, "serving": false, "terminating": false}))
    }

    /// With a Pod that is about to end, and still serves.
    #[must_use]
    pub fn terminating_endpoint(self, address: &str, node: &str, pod: &str) -> Self {
        self.conditions(address, node, pod, &json!({"ready": false, "serving": true, "terminating": true}))
    }

    fn conditions(mut self, address: &str, node: &str, pod: &str, conditions: &Value) -> Self {
        let namespace = self.0["metadata"]["namespace"].clone();
        let endpoint = json!({
            "addresses": [address],
            "conditions": conditions,
            "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod},
            "nodeName": node,
        });
        push(&mut self.0["endpoints"], endpoint);
        self
    }
}

impl From<EndpointSlice> for Value {
    fn from(slice: EndpointSlice) -> Self {
        slice.0
    }
}
