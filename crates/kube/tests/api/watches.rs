//! Following what changes.

use std::time::{Duration, Instant};

use portgate_double::object::{deployment, endpoint_slice, node, pod, service};
use portgate_double::{Config, Fault, Objects, Resource, Verb};
use serde_json::{Value, json};

use crate::lab::{Lab, key, keys, pods, ready, soon, until};

/// How soon a change is to be seen. It takes some milliseconds; a busy machine gets more time than the promised second.
const SOON: Duration = Duration::from_secs(5);

async fn empty() -> Lab {
    Lab::with(Config { objects: Objects::None, ..Config::default() }).await
}

/// A Service with one endpoint.
async fn serve(lab: &Lab, name: &str, address: &str) {
    lab.double.apply(service(name, "shop").port("http", 80)).await.unwrap();
    let slice = endpoint_slice(name, "shop").port("http", 8080).endpoint(address, "node", &format!("{name}-a"));
    lab.double.apply(slice).await.unwrap();
}

#[tokio::test]
async fn the_first_thing_told_is_all_that_there_is() {
    let lab = empty().await;
    serve(&lab, "web", "10.42.0.1").await;
    lab.double.apply(pod("web-a", "shop").label("app", "web")).await.unwrap();
    lab.double.apply(deployment("web", "shop").selecting("app", "web")).await.unwrap();
    lab.double.apply(node("one", "172.20.0.2")).await.unwrap();
    let keys = keys(&["svc/web.shop", "deploy/web.shop", "pod/web-a.shop", "svc/gone.shop"]);
    let mut watch = lab.api().await.watch(keys, true);
    let objects = soon(watch.next()).await;
    assert_eq!(ready(&objects, "svc/web.shop").unwrap(), ["10.42.0.1"]);
    assert_eq!(pods(&objects, "deploy/web.shop").unwrap(), ["web-a"]);
    assert_eq!(pods(&objects, "pod/web-a.shop").unwrap(), ["web-a"]);
    assert_eq!(ready(&objects, "svc/gone.shop"), None);
    assert_eq!(objects.ready_nodes, Some(["one".to_owned()].into()));
    assert_eq!(objects.problem, None);
}

#[tokio::test]
async fn whoever_follows_nothing_is_told_so_at_once() {
    let lab = empty().await;
    let objects = soon(lab.watch(&[]).await.next()).await;
    assert_eq!(objects, portgate_core::kubernetes::Objects::default());
}

#[tokio::test]
async fn each_change_is_told_within_a_second() {
    let lab = empty().await;
    serve(&lab, "web", "10.42.0.1").await;
    let mut watch = lab.watch(&["svc/web.shop"]).await;
    soon(watch.next()).await;
    let mut slowest = Duration::ZERO;
    let mut told = async |change: Value, seen: &dyn Fn(&portgate_core::kubernetes::Service) -> bool| {
        lab.double.apply(change).await.unwrap();
        let begun = Instant::now();
        until(&mut watch, |objects| objects.services.get(&key("svc/web.shop")).is_some_and(seen)).await;
        slowest = slowest.max(begun.elapsed());
    };
    let with_port = service("web", "shop").port("http", 80);
    told(with_port.clone().node_port(30080).into(), &|web| web.ports[0].node_port.is_some()).await;
    told(with_port.at("10.43.9.9").into(), &|web| web.cluster_ips[0].to_string() == "10.43.9.9").await;
    let moved = endpoint_slice("web", "shop").port("http", 8080).endpoint("10.42.1.7", "other", "web-b");
    told(moved.into(), &|web| web.endpoints[0].node.as_deref() == Some("other")).await;
    let unready = endpoint_slice("web", "shop").port("http", 8080).unready_endpoint("10.42.1.7", "other", "web-b");
    told(unready.into(), &|web| web.ready().count() == 0).await;
    println!("the slowest of 4 changes was told after {} ms", slowest.as_millis());
    assert!(slowest < SOON, "{slowest:?}");
}

#[tokio::test]
async fn a_service_that_is_deleted_and_made_anew_goes_and_comes() {
    let lab = empty().await;
    serve(&lab, "web", "10.42.0.1").await;
    let mut watch = lab.watch(&["svc/web.shop"]).await;
    soon(watch.next()).await;
    lab.double.delete(Resource::Services, "shop", "web").await.unwrap();
    until(&mut watch, |objects| objects.services.is_empty()).await;
    lab.double.apply(service("web", "shop").at("10.43.1.1").port("http", 80)).await.unwrap();
    let objects = until(&mut watch, |objects| !objects.services.is_empty()).await;
    assert_eq!(ready(&objects, "svc/web.shop").unwrap(), ["10.42.0.1"]);
}

#[tokio::test]
async fn a_workloads_pods_are_followed_by_its_selector_of_now() {
    let lab = empty().await;
    let mut watch = lab.watch(&["deploy/web.shop"]).await;
    assert_eq!(pods(&soon(watch.next()).await, "deploy/web.shop"), None);
    lab.double.apply(pod("web-a", "shop").label("app", "web")).await.unwrap();
    lab.double.apply(pod("new-a", "shop").label("app", "new")).await.unwrap();
    lab.double.apply(deployment("web", "shop").selecting("app", "web")).await.unwrap();
    let is = |names: &'static [&str]| {
        move |objects: &portgate_core::kubernetes::Objects| pods(objects, "deploy/web.shop").is_some_and(|p| p == names)
    };
    until(&mut watch, is(&["web-a"])).await;
    lab.double.apply(pod("web-b", "shop").label("app", "web")).await.unwrap();
    until(&mut watch, is(&["web-a", "web-b"])).await;
    lab.double.delete(Resource::Pods, "shop", "web-a").await.unwrap();
    until(&mut watch, is(&["web-b"])).await;
    lab.double.apply(deployment("web", "shop").selecting("app", "new")).await.unwrap();
    until(&mut watch, is(&["new-a"])).await;
    lab.double.delete(Resource::Deployments, "shop", "web").await.unwrap();
    until(&mut watch, |objects| objects.pods.is_empty()).await;
}

#[tokio::test]
async fn a_node_that_is_not_ready_any_more_is_told() {
    let lab = empty().await;
    lab.double.apply(node("one", "172.20.0.2")).await.unwrap();
    let mut watch = lab.api().await.watch(keys(&[]), true);
    soon(watch.next()).await;
    let mut gone = node("one", "172.20.0.2");
    gone["status"]["conditions"] = json!([{ "type": "Ready", "status": "Unknown" }]);
    lab.double.apply(gone).await.unwrap();
    until(&mut watch, |objects| objects.ready_nodes.as_ref().is_some_and(std::collections::BTreeSet::is_empty)).await;
}

#[tokio::test]
async fn what_is_followed_goes_on_when_other_objects_are_followed_too() {
    let lab = empty().await;
    serve(&lab, "web", "10.42.0.1").await;
    serve(&lab, "db", "10.42.0.2").await;
    lab.double.apply(pod("web-a", "shop")).await.unwrap();
    let mut watch = lab.watch(&["svc/web.shop"]).await;
    soon(watch.next()).await;

    let before = lab.asked(Verb::List, Resource::Services).await;
    watch.follow(keys(&["svc/web.shop", "pod/web-a.shop"]));
    let objects = soon(watch.next()).await;
    assert_eq!(pods(&objects, "pod/web-a.shop").unwrap(), ["web-a"]);
    assert_eq!(ready(&objects, "svc/web.shop").unwrap(), ["10.42.0.1"]);
    assert_eq!(lab.asked(Verb::List, Resource::Services).await, before);

    watch.follow(keys(&["svc/web.shop", "svc/db.shop"]));
    let objects = soon(watch.next()).await;
    assert_eq!(ready(&objects, "svc/web.shop").unwrap(), ["10.42.0.1"]);
    assert_eq!(ready(&objects, "svc/db.shop").unwrap(), ["10.42.0.2"]);
    assert!(objects.pods.is_empty());

    watch.follow(keys(&["svc/db.shop"]));
    let objects = soon(watch.next()).await;
    assert_eq!((objects.services.len(), ready(&objects, "svc/db.shop").unwrap().len()), (1, 1));
    serve(&lab, "db", "10.42.0.3").await;
    until(&mut watch, |objects| ready(objects, "svc/db.shop").is_some_and(|ready| ready == ["10.42.0.3"])).await;
}

#[tokio::test]
async fn following_the_same_again_is_answered_and_asks_nothing() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&["svc/echo.backend"]).await;
    let first = soon(watch.next()).await;
    let before = lab.asked(Verb::List, Resource::Services).await;
    watch.follow(keys(&["svc/echo.backend"]));
    assert_eq!(soon(watch.next()).await, first);
    assert_eq!(lab.asked(Verb::List, Resource::Services).await, before);
}

#[tokio::test]
async fn a_history_that_is_forgotten_is_listed_anew() {
    let lab = empty().await;
    serve(&lab, "web", "10.42.0.1").await;
    let mut watch = lab.watch(&["svc/web.shop"]).await;
    soon(watch.next()).await;
    lab.watched(Resource::Services).await;
    // What the watch has not been told of makes its place in history an old one.
    lab.double.apply(pod("other", "other")).await.unwrap();
    lab.double.fault(Fault::Compact).await.unwrap();
    let before = lab.asked(Verb::List, Resource::Services).await;
    lab.double.fault(Fault::KillConnections).await.unwrap();
    soon(async {
        while lab.asked(Verb::List, Resource::Services).await == before {
            tokio::task::yield_now().await;
        }
    })
    .await;
    lab.double.apply(service("web", "shop").port("http", 80).node_port(30080)).await.unwrap();
    let next = soon(watch.next()).await;
    assert!(next.services[&key("svc/web.shop")].ports[0].node_port.is_some());
    assert_eq!((ready(&next, "svc/web.shop").unwrap().len(), next.problem), (1, None));
}

#[tokio::test]
async fn a_dropped_watch_leaves_no_connection() {
    let lab = Lab::recorded().await;
    let api = lab.api().await;
    let mut watch = api.watch(keys(&["svc/echo.backend", "pod/gone.backend"]), true);
    soon(watch.next()).await;
    drop(watch);
    drop(api);
    soon(async {
        while lab.double.counters().await.unwrap().open_connections > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
