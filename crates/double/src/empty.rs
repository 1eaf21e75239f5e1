//! Objects with nothing in them: what Go writes of a resource's zero value, and sends as a bookmark.

use serde_json::{Value, json};

use crate::resource::Resource;

/// The empty object of a resource, with its kind.
pub(crate) fn object(resource: Resource) -> Value {
    let template = json!({"metadata": {}, "spec": {"containers": null}});
    let mut object = match resource {
        Resource::Services => json!({"spec": {}, "status": {"loadBalancer": {}}}),
        Resource::EndpointSlices => json!({"addressType": "", "endpoints": null, "ports": null}),
        Resource::Pods | Resource::PortForward => json!({"spec": {"containers": null}, "status": {}}),
        Resource::Nodes => json!({"spec": {}, "status": {
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
            "nodeInfo": {"machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "",
                "containerRuntimeVersion": "", "kubeletVersion": "", "kubeProxyVersion": "", "operatingSystem": "",
                "architecture": ""},
        }}),
        Resource::Namespaces => json!({"spec": {}, "status": {}}),
        Resource::Deployments => {
            json!({"spec": {"selector": null, "template": template, "strategy": {}}, "status": {}})
        }
        Resource::StatefulSets => json!({
            "spec": {"selector": null, "template": template, "serviceName": "", "updateStrategy": {}},
            "status": {"replicas": 0, "availableReplicas": 0},
        }),
        Resource::DaemonSets => json!({
            "spec": {"selector": null, "template": template, "updateStrategy": {}},
            "status": {"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0,
                "numberReady": 0},
        }),
        Resource::ReplicaSets => json!({"spec": {"selector": null, "template": template}, "status": {"replicas": 0}}),
    };
    object["kind"] = resource.kind().into();
    object["apiVersion"] = resource.api_version().into();
    object["metadata"] = json!({});
    object
}
