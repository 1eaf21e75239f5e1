//! The double beside the record of a real Kubernetes 1.36.

use portgate_double::object::pod;
use portgate_double::{Config, Double, Resource};
use serde_json::Value;

use crate::client::Client;

/// A list without its revision, which only the record's own server has.
fn list(text: &str) -> Value {
    let mut list: Value = serde_json::from_str(text).unwrap();
    list["metadata"]["resourceVersion"].take();
    list
}

/// An event without what no two servers have in common.
fn event(mut event: Value) -> Value {
    let metadata = event["object"]["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        assert!(metadata.remove(field).is_some(), "{field}");
    }
    event
}

#[tokio::test]
async fn lists_are_as_they_were_recorded() {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    for (path, record) in [
        ("/api/v1/services", include_str!("../../fixtures/services.json")),
        ("/apis/discovery.k8s.io/v1/endpointslices", include_str!("../../fixtures/endpointslices.json")),
        ("/api/v1/pods", include_str!("../../fixtures/pods.json")),
        ("/api/v1/nodes", include_str!("../../fixtures/nodes.json")),
    ] {
        assert_eq!(list(&client.found(path).await.to_string()), list(record), "{path}");
    }
    let version: Value = serde_json::from_str(include_str!("../../fixtures/version.json")).unwrap();
    assert_eq!(client.found("/version").await, version);
}

#[tokio::test]
async fn a_watch_goes_as_it_was_recorded() {
    let record = include_str!("../../fixtures/services-watch.jsonl").lines();
    let record: Vec<Value> = record.map(|line| serde_json::from_str(line).unwrap()).collect();
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    let mut events = client.watch("/api/v1/namespaces/backend/services?watch=true").await;
    for _ in 0..2 {
        events.next().await.unwrap();
    }

    // As it was done: an annotation, a deletion, a creation.
    let mut annotated = client.found("/api/v1/namespaces/backend/services/echo").await;
    annotated["metadata"]["annotations"]["a"] = "b".into();
    double.apply(annotated).await.unwrap();
    double.delete(Resource::Services, "backend", "internal").await.unwrap();
    double.apply(record[4]["object"].clone()).await.unwrap();

    let mut all = client.watch("/api/v1/namespaces/backend/services?watch=true&resourceVersion=346").await;
    for recorded in &record[2..] {
        let expected = event(recorded.clone());
        assert_eq!(event(events.next().await.unwrap()), expected);
        assert_eq!(event(all.next().await.unwrap()), expected);
    }
}

#[tokio::test]
async fn an_initial_watch_is_as_it_was_recorded() {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    let mut events = client.watch("/api/v1/namespaces/backend/services?watch=true").await;
    for line in include_str!("../../fixtures/services-watch.jsonl").lines().take(2) {
        assert_eq!(events.next().await.unwrap(), serde_json::from_str::<Value>(line).unwrap());
    }
}

#[tokio::test]
async fn what_the_record_refers_to_is_there() {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    let pod = client.found("/api/v1/namespaces/backend/pods/echo-6d4f68dbd7-k8vdx").await;
    let set = client.found("/apis/apps/v1/namespaces/backend/replicasets/echo-6d4f68dbd7").await;
    assert_eq!(pod["metadata"]["ownerReferences"][0]["uid"], set["metadata"]["uid"]);
    let deployment = client.found("/apis/apps/v1/namespaces/backend/deployments/echo").await;
    assert_eq!(set["metadata"]["ownerReferences"][0]["uid"], deployment["metadata"]["uid"]);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"]["app"], "echo");
    client.found("/api/v1/namespaces/backend").await;
}

#[tokio::test]
async fn a_pod_that_is_made_has_the_fields_of_a_recorded_one() {
    let record: Value = serde_json::from_str(include_str!("../../fixtures/pods.json")).unwrap();
    let record = &record["items"][0];
    let made = pod("web", "shop").label("app", "web").on("node", "172.20.0.2").at("10.42.0.3").port("http", 80);
    let made = Value::from(made.owned_by("ReplicaSet", "web", "uid"));
    for part in ["metadata", "spec", "status"] {
        for (field, value) in made[part].as_object().unwrap() {
            let recorded = record[part].get(field).unwrap_or_else(|| panic!("a real pod has no {part}.{field}"));
            assert_eq!(std::mem::discriminant(value), std::mem::discriminant(recorded), "{part}.{field}");
        }
    }
}
