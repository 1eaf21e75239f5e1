//! Services.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::{Value, json};

use super::{object, push};
use crate::resource::Resource;

/// A Service that is being made.
#[derive(Clone, Debug)]
pub struct Service(Value);

/// A Service of type `ClusterIP` without a port or a selector; its address follows from its name.
pub fn service(name: &str, namespace: &str) -> Service {
    let mut hasher = DefaultHasher::new();
    (namespace, name).hash(&mut hasher);
    let [high, low, ..] = hasher.finish().to_be_bytes();
    let mut object = object(Resource::Services, name, Some(namespace));
    object["spec"] = json!({
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ipFamilies": ["IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
    });
    object["status"] = json!({"loadBalancer": {}});
    Service(object).at(&format!("10.43.{high}.{low}"))
}

impl Service {
    /// With this cluster IP.
    #[must_use]
    pub fn at(mut self, address: &str) -> Self {
        self.0["spec"]["clusterIP"] = address.into();
        self.0["spec"]["clusterIPs"] = json!([address]);
        self
    }

    /// Without a cluster IP.
    #[must_use]
    pub fn headless(self) -> Self {
        self.at("None")
    }

    /// With a label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.0["metadata"]["labels"][key] = value.into();
        self
    }

    /// For the Pods with this label.
    #[must_use]
    pub fn selecting(mut self, key: &str, value: &str) -> Self {
        self.0["spec"]["selector"][key] = value.into();
        self
    }

    /// With a TCP port that leads to the Pods' port of the same number; without a name if it is empty.
    #[must_use]
    pub fn port(self, name: &str, number: u16) -> Self {
        self.protocol_port(name, number, "TCP")
    }

    /// With such a UDP port.
    #[must_use]
    pub fn udp_port(self, name: &str, number: u16) -> Self {
        self.protocol_port(name, number, "UDP")
    }

    fn protocol_port(mut self, name: &str, number: u16, protocol: &str) -> Self {
        let mut port = json!({"protocol": protocol, "port": number, "targetPort": number});
        if !name.is_empty() {
            port["name"] = name.into();
        }
        push(&mut self.0["spec"]["ports"], port);
        self
    }

    /// The last port leads to this port of the Pods, a number or a name.
    #[must_use]
    pub fn target(mut self, port: impl Into<Value>) -> Self {
        if let Some(last) = self.last() {
            last["targetPort"] = port.into();
        }
        self
    }

    /// The last port is a `NodePort`, too, and so is the Service.
    #[must_use]
    pub fn node_port(mut self, number: u16) -> Self {
        if let Some(last) = self.last() {
            last["nodePort"] = number.into();
        }
        self.0["spec"]["externalTrafficPolicy"] = "Cluster".into();
        self.0["spec"]["type"] = "NodePort".into();
        self
    }

    /// Of type `LoadBalancer`, with this address.
    #[must_use]
    pub fn load_balancer(mut self, address: &str) -> Self {
        self.0["spec"]["type"] = "LoadBalancer".into();
        self.0["spec"]["externalTrafficPolicy"] = "Cluster".into();
        self.0["status"]["loadBalancer"] = json!({"ingress": [{"ip": address, "ipMode": "VIP"}]});
        self
    }

    fn last(&mut self) -> Option<&mut Value> {
        self.0["spec"]["ports"].as_array_mut()?.last_mut()
    }
}

impl From<Service> for Value {
    fn from(service: Service) -> Self {
        service.0
    }
}
