//! Watching objects.

use std::time::Duration;

use portgate_double::object::{pod, service};
use portgate_double::{Config, Double, Fault, Objects, Resource};
use serde_json::json;

use crate::client::{Client, soon};

async fn empty() -> (Double, Client) {
    let config = Config { objects: Objects::None, bookmarks: Duration::from_millis(20), ..Config::default() };
    let double = Double::start(config).await.unwrap();
    let client = Client::of(&double).await;
    (double, client)
}

fn told(event: &str, name: &str) -> (String, String) {
    (event.to_owned(), name.to_owned())
}

#[tokio::test]
async fn a_watch_resumes_after_the_revision_that_it_names() {
    let (double, client) = empty().await;
    let first = double.apply(service("one", "shop")).await.unwrap();
    double.apply(service("two", "shop")).await.unwrap();
    let revision = first["metadata"]["resourceVersion"].as_str().unwrap();
    let mut events = client.watch(&format!("/api/v1/services?watch=1&resourceVersion={revision}")).await;
    assert_eq!(events.told().await, told("ADDED", "two"));
    double.delete(Resource::Services, "shop", "one").await.unwrap();
    assert_eq!(events.told().await, told("DELETED", "one"));
}

#[tokio::test]
async fn a_watch_from_a_compacted_revision_is_told_so_and_ends() {
    let (double, client) = empty().await;
    double.apply(service("one", "shop")).await.unwrap();
    double.apply(service("two", "shop")).await.unwrap();
    double.fault(Fault::Compact).await.unwrap();
    let mut events = client.watch("/api/v1/services?watch=1&resourceVersion=347").await;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version: 347 (348)",
    });
    assert_eq!(events.next().await.unwrap(), json!({"type": "ERROR", "object": status}));
    assert_eq!(events.next().await, None);

    let mut events = client.watch("/api/v1/services?watch=1&resourceVersion=348").await;
    double.apply(service("three", "shop")).await.unwrap();
    assert_eq!(events.told().await, told("ADDED", "three"));
}

#[tokio::test]
async fn bookmarks_carry_the_revision_of_everything_that_was_told() {
    let (double, client) = empty().await;
    let mut events = client.watch("/api/v1/services?watch=1&allowWatchBookmarks=true").await;
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "kind": "Service", "apiVersion": "v1", "metadata": {"resourceVersion": "346"}, "spec": {},
        "status": {"loadBalancer": {}},
    }});
    assert_eq!(events.next().await.unwrap(), bookmark);
    // What happens to other resources counts, too.
    double.apply(pod("web", "shop")).await.unwrap();
    let newer = async { while events.next().await.unwrap()["object"]["metadata"]["resourceVersion"] != "347" {} };
    soon(newer).await;
}

#[tokio::test]
async fn a_list_can_be_streamed() {
    let (double, client) = empty().await;
    double.apply(service("one", "shop")).await.unwrap();
    double.apply(service("two", "shop")).await.unwrap();
    let query = "watch=1&allowWatchBookmarks=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
    let mut events = client.watch(&format!("/api/v1/services?{query}&resourceVersion=347")).await;
    assert_eq!(events.told().await, told("ADDED", "one"));
    assert_eq!(events.told().await, told("ADDED", "two"));
    let bookmark = events.next().await.unwrap();
    let metadata = json!({"resourceVersion": "348", "annotations": {"k8s.io/initial-events-end": "true"}});
    assert_eq!((&bookmark["type"], &bookmark["object"]["metadata"]), (&json!("BOOKMARK"), &metadata));

    let (code, status) = client.get("/api/v1/services?watch=1&sendInitialEvents=true").await;
    assert_eq!((code, status["reason"].as_str()), (422, Some("Invalid")));
}

#[tokio::test]
async fn an_object_that_a_selector_loses_is_deleted_and_one_that_it_finds_is_added() {
    let (double, client) = empty().await;
    let query = "watch=1&labelSelector=tier%3Dfront";
    let mut events = client.watch(&format!("/api/v1/namespaces/shop/pods?{query}")).await;
    double.apply(pod("web", "shop").label("tier", "front")).await.unwrap();
    double.apply(pod("web", "other").label("tier", "front")).await.unwrap();
    double.apply(pod("web", "shop").label("tier", "back")).await.unwrap();
    double.apply(pod("web", "shop").label("tier", "front").unready()).await.unwrap();
    double.apply(pod("web", "shop").label("tier", "front")).await.unwrap();
    assert_eq!(events.told().await, told("ADDED", "web"));
    let deleted = events.next().await.unwrap();
    assert_eq!(deleted["type"], "DELETED");
    let metadata = &deleted["object"]["metadata"];
    assert_eq!((&metadata["labels"]["tier"], &metadata["resourceVersion"]), (&json!("front"), &json!("349")));
    assert_eq!(events.told().await, told("ADDED", "web"));
    assert_eq!(events.told().await, told("MODIFIED", "web"));
}

#[tokio::test]
async fn a_watch_ends_when_its_time_is_over() {
    let (_double, client) = empty().await;
    let mut events = client.watch("/api/v1/services?watch=1&timeoutSeconds=1").await;
    assert_eq!(events.next().await, None);
}
