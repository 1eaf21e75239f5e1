//! Answers that are too much.

use portgate_core::limits::{SLICE_ENDPOINTS, SLICE_PORTS};
use serde_json::{Value, json};

use super::super::*;

/// The limit that a list with these items exceeds.
fn exceeded(resource: Resource, items: &[Value]) -> Limit {
    match page(resource, json!({ "items": items }).to_string().as_bytes()) {
        Err(Unread::TooMuch(limit)) => limit,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_short_text_that_would_become_much_is_refused() {
    let metadata = json!({ "name": "web-1" });
    let many = vec![json!({ "metadata": metadata }); API_OBJECTS.most + 1];
    assert_eq!(exceeded(Resource::Nodes, &many), API_OBJECTS);

    let endpoints = |count: usize| vec![json!({ "addresses": ["::1"] }); count];
    let ports = |count: usize| (1..=count).map(|port| json!({ "port": port })).collect::<Vec<_>>();
    let slice = |endpoints: &[Value], ports: &[Value]| json!({ "metadata": metadata, "addressType": "IPv6", "endpoints": endpoints, "ports": ports });
    assert_eq!(exceeded(Resource::EndpointSlices, &[slice(&endpoints(1001), &[])]), SLICE_ENDPOINTS);
    assert_eq!(exceeded(Resource::EndpointSlices, &[slice(&[], &ports(101))]), SLICE_PORTS);
    // 30 KB of JSON become 4 MB of endpoints.
    let full = slice(&endpoints(1000), &ports(100));
    assert_eq!(exceeded(Resource::EndpointSlices, &[full.clone(), full.clone(), full]), API_KEPT);

    let long = "x".repeat(API_PARAMETER.most);
    let labels = json!({ "matchLabels": { "app": long } });
    assert_eq!(
        exceeded(Resource::Deployments, &[json!({ "metadata": metadata, "spec": { "selector": labels } })]),
        API_PARAMETER
    );
    let list = json!({ "metadata": { "continue": long + "x" }, "items": [] }).to_string();
    assert!(matches!(page(Resource::Services, list.as_bytes()), Err(Unread::TooMuch(API_PARAMETER))));
}
