//! Getting and listing objects.

use portgate_double::object::{node, pod, service};
use portgate_double::{Config, Double, Fault, Objects, Resource};
use serde_json::{Value, json};

use crate::client::Client;

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
}

/// A double with four pods.
async fn pods() -> (Double, Client) {
    let double = Double::start(Config { objects: Objects::None, ..Config::default() }).await.unwrap();
    let client = Client::of(&double).await;
    for (namespace, name, tier, node) in [
        ("shop", "db-0", "back", "a"),
        ("shop", "web-1", "front", "a"),
        ("shop", "web-2", "front", "b"),
        ("x", "y", "", "a"),
    ] {
        double.apply(pod(name, namespace).label("tier", tier).on(node, "172.20.0.2")).await.unwrap();
    }
    (double, client)
}

#[tokio::test]
async fn an_object_that_was_applied_has_what_the_server_gives_it() {
    let (double, client) = pods().await;
    double.apply(service("web", "shop").port("http", 80).target("http").node_port(30080)).await.unwrap();
    let found = client.found("/api/v1/namespaces/shop/services/web").await;
    assert_eq!((found["kind"].as_str(), found["apiVersion"].as_str()), (Some("Service"), Some("v1")));
    let metadata = &found["metadata"];
    assert_eq!(metadata["resourceVersion"], "351");
    assert_eq!(metadata["uid"].as_str().unwrap().len(), 36);
    assert!(metadata["creationTimestamp"].as_str().unwrap().ends_with('Z'));
    let port = json!([{"name": "http", "protocol": "TCP", "port": 80, "targetPort": "http", "nodePort": 30080}]);
    assert_eq!((&found["spec"]["ports"], &found["spec"]["type"]), (&port, &json!("NodePort")));

    double.apply(node("node-a", "172.20.0.2")).await.unwrap();
    assert_eq!(client.found("/api/v1/nodes/node-a").await["status"]["addresses"][0]["address"], "172.20.0.2");
}

#[tokio::test]
async fn lists_are_of_a_namespace_or_of_all_and_may_be_selected_from() {
    let (_double, client) = pods().await;
    assert_eq!(names(&client.found("/api/v1/pods").await), ["db-0", "web-1", "web-2", "y"]);
    let of_shop = "/api/v1/namespaces/shop/pods";
    for (query, expected) in [
        ("", vec!["db-0", "web-1", "web-2"]),
        ("?labelSelector=tier%3Dfront", vec!["web-1", "web-2"]),
        ("?labelSelector=tier%20in%20(back,none)", vec!["db-0"]),
        ("?labelSelector=!tier", vec![]),
        ("?fieldSelector=spec.nodeName%3Da", vec!["db-0", "web-1"]),
        ("?fieldSelector=metadata.name%3Dweb-2,status.phase%3DRunning", vec!["web-2"]),
    ] {
        assert_eq!(names(&client.found(&format!("{of_shop}{query}")).await), expected, "{query}");
    }
    let (code, refused) = client.get("/api/v1/pods?fieldSelector=spec.x%3D1").await;
    assert_eq!((code, refused["message"].as_str()), (400, Some("field label not supported: spec.x")));
}

#[tokio::test]
async fn pages_show_one_state_even_if_it_changes_meanwhile() {
    let (double, client) = pods().await;
    let first = client.found("/api/v1/pods?limit=2").await;
    assert_eq!((names(&first), &first["metadata"]["remainingItemCount"]), (vec!["db-0", "web-1"], &json!(2)));
    assert_eq!(first["metadata"]["resourceVersion"], "350");

    double.delete(Resource::Pods, "shop", "web-2").await.unwrap();
    let next = format!("/api/v1/pods?limit=2&continue={}", first["metadata"]["continue"].as_str().unwrap());
    let second = client.found(&next).await;
    assert_eq!((names(&second), &second["metadata"]["resourceVersion"]), (vec!["web-2", "y"], &json!("350")));
    assert!(second["metadata"].get("continue").is_none());

    double.fault(Fault::Compact).await.unwrap();
    let (code, expired) = client.get(&next).await;
    assert_eq!((code, expired["reason"].as_str()), (410, Some("Expired")));
    let inconsistent = expired["metadata"]["continue"].as_str().unwrap();
    assert_eq!(names(&client.found(&format!("/api/v1/pods?continue={inconsistent}")).await), ["y"]);
}

#[tokio::test]
async fn a_list_is_of_the_revision_that_was_asked_for() {
    let (double, client) = pods().await;
    double.delete(Resource::Pods, "x", "y").await.unwrap();
    let exact = "/api/v1/pods?resourceVersionMatch=Exact&resourceVersion";
    assert_eq!(names(&client.found(&format!("{exact}=348")).await), ["db-0", "web-1"]);
    assert_eq!(names(&client.found(&format!("{exact}=350")).await).len(), 4);
    let newer = "/api/v1/pods?resourceVersionMatch=NotOlderThan&resourceVersion=348";
    assert_eq!(client.found(newer).await["metadata"]["resourceVersion"], "351");
    assert_eq!(names(&client.found("/api/v1/pods?resourceVersion=0&limit=1").await).len(), 3);

    let (code, future) = client.get(&format!("{exact}=999")).await;
    let words = "Too large resource version: 999, current: 351";
    assert_eq!((code, future["message"].as_str()), (504, Some(words)));
    double.fault(Fault::Compact).await.unwrap();
    assert_eq!(client.get(&format!("{exact}=348")).await.0, 410);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (_double, client) = pods().await;
    let (code, status) = client.get("/api/v1/namespaces/shop/services/web").await;
    let expected = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 404, "reason": "NotFound",
        "message": "services \"web\" not found", "details": {"name": "web", "kind": "services"},
    });
    assert_eq!((code, status), (404, expected));

    let (_, status) = client.get("/apis/apps/v1/namespaces/shop/deployments/web").await;
    assert_eq!(status["message"], "deployments.apps \"web\" not found");
    assert_eq!(status["details"], json!({"name": "web", "group": "apps", "kind": "deployments"}));
    let (code, status) = client.get("/api/v1/secrets").await;
    let words = "the server could not find the requested resource";
    assert_eq!((code, status["message"].as_str()), (404, Some(words)));
}

#[tokio::test]
async fn clients_find_out_what_is_served() {
    let (_double, client) = pods().await;
    assert_eq!(client.found("/version").await["gitVersion"], "v1.36.0");
    assert_eq!(client.found("/api").await["versions"], json!(["v1"]));
    let groups = client.found("/apis").await;
    assert_eq!(groups["groups"][1]["preferredVersion"]["groupVersion"], "discovery.k8s.io/v1");
    let apps = client.found("/apis/apps/v1").await;
    assert_eq!(apps["resources"][0]["shortNames"], json!(["deploy"]));
    let core = client.found("/api/v1").await;
    let forward = core["resources"].as_array().unwrap().iter().find(|entry| entry["name"] == "pods/portforward");
    assert_eq!(forward.unwrap()["verbs"], json!(["create", "get"]));
}
