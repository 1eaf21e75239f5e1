//! What every client may ask first: the version, the groups, the resources.

use serde_json::{Value, json};

use crate::request::{Document, GROUPS};
use crate::resource::Resource;

/// As it was recorded from a Kubernetes 1.36.0.
const VERSION: &str = include_str!("../fixtures/version.json");

/// A document, of the server at this address.
pub(crate) fn document(document: Document, server: &str) -> Value {
    match document {
        Document::Version => serde_json::from_str(VERSION).unwrap_or_default(),
        Document::Core => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server}],
        }),
        Document::Groups => json!({
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": GROUPS.into_iter().filter(|group| !group.is_empty()).map(group).collect::<Vec<_>>(),
        }),
        Document::Resources(group) => resources(group),
    }
}

fn group(name: &str) -> Value {
    let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
    json!({"name": name, "versions": [version], "preferredVersion": version})
}

fn resources(group: &str) -> Value {
    let members = Resource::ALL.into_iter().filter(|resource| resource.group() == group);
    let mut list = json!({
        "kind": "APIResourceList",
        "groupVersion": if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") },
        "resources": members.map(resource).collect::<Vec<_>>(),
    });
    if !group.is_empty() {
        list["apiVersion"] = "v1".into();
    }
    list
}

fn resource(resource: Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural(),
        "singularName": resource.kind().to_lowercase(),
        "namespaced": resource.is_namespaced(),
        "kind": resource.kind(),
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if resource == Resource::PortForward {
        entry["singularName"] = "".into();
        entry["verbs"] = json!(["create", "get"]);
    }
    if let Some(short) = resource.short() {
        entry["shortNames"] = json!([short]);
    }
    entry
}
