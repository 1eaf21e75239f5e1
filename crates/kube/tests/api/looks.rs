//! One look at what there is.

use portgate_core::kubernetes::{Exposure, Kind, PortName};
use portgate_core::port::Protocol;
use portgate_double::object::{deployment, endpoint_slice, pod, service};
use portgate_double::{Config, Objects};

use crate::lab::{Lab, key, pods, ready};

async fn empty() -> Lab {
    Lab::with(Config { objects: Objects::None, ..Config::default() }).await
}

#[tokio::test]
async fn a_recorded_service_is_seen_with_its_endpoints() {
    let lab = Lab::recorded().await;
    let objects = lab.api().await.objects(&[key("svc/echo.backend")]).await.unwrap();
    let echo = &objects.services[&key("svc/echo.backend")];
    assert_eq!(echo.exposure, Exposure::NodePort);
    let udp = echo.port(&PortName::Name("udp".to_owned()), Protocol::Udp).unwrap();
    assert_eq!(udp.node_port.unwrap().number(), 30998);
    assert_eq!(echo.endpoints[0].port(udp).unwrap().number(), 9998);
    assert_eq!((objects.services.len(), objects.pods.len(), objects.ready_nodes), (1, 0, None));
    assert_eq!(objects.problem, None);
}

#[tokio::test]
async fn services_of_all_namespaces_or_of_one_or_with_a_label_are_listed() {
    let lab = Lab::recorded().await;
    let api = lab.api().await;
    let listed = async |namespace, selector| {
        let objects = api.services(namespace, selector).await.unwrap();
        objects.services.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    let all = ["svc/echo.backend", "svc/internal.backend", "svc/kubernetes.default"];
    assert_eq!(listed(None, None).await, all);
    assert_eq!(listed(Some("backend"), None).await, all[..2]);
    assert_eq!(listed(None, Some("provider=kubernetes")).await, all[2..]);
    assert_eq!(listed(Some("nowhere"), None).await, [""; 0]);
    let objects = api.services(None, None).await.unwrap();
    assert_eq!(ready(&objects, "svc/internal.backend").unwrap(), ["10.42.0.2"]);
    assert_eq!(ready(&objects, "svc/kubernetes.default").unwrap(), ["172.20.0.2"]);
}

#[tokio::test]
async fn a_workload_is_seen_as_its_pods_and_one_without_any_as_none() {
    let lab = empty().await;
    for (name, tier) in [("web-a", "front"), ("web-b", "front"), ("db-0", "back")] {
        lab.double.apply(pod(name, "shop").label("tier", tier)).await.unwrap();
    }
    lab.double.apply(pod("web-c", "other").label("tier", "front")).await.unwrap();
    lab.double.apply(deployment("web", "shop").selecting("tier", "front")).await.unwrap();
    lab.double.apply(deployment("idle", "shop").selecting("tier", "none")).await.unwrap();
    let keys = ["deploy/web.shop", "deploy/idle.shop", "deploy/gone.shop", "pod/db-0.shop", "pod/gone.shop"];
    let objects = lab.api().await.objects(&keys.map(key)).await.unwrap();
    assert_eq!(pods(&objects, "deploy/web.shop").unwrap(), ["web-a", "web-b"]);
    assert_eq!(pods(&objects, "deploy/idle.shop").unwrap(), [""; 0]);
    assert_eq!(pods(&objects, "deploy/gone.shop"), None);
    assert_eq!(pods(&objects, "pod/db-0.shop").unwrap(), ["db-0"]);
    assert_eq!(pods(&objects, "pod/gone.shop"), None);
}

#[tokio::test]
async fn a_service_that_does_not_exist_is_left_out() {
    let lab = Lab::recorded().await;
    let objects = lab.api().await.objects(&[key("svc/echo.backend"), key("svc/gone.backend")]).await.unwrap();
    assert_eq!(ready(&objects, "svc/echo.backend").unwrap(), ["10.42.0.2"]);
    assert_eq!(ready(&objects, "svc/gone.backend"), None);
}

#[tokio::test]
async fn more_objects_than_a_page_has_are_all_seen() {
    let lab = empty().await;
    for number in 0..260 {
        lab.double.apply(service(&format!("s{number:03}"), "shop").port("", 80)).await.unwrap();
    }
    lab.double.apply(endpoint_slice("s259", "shop").port("", 80).endpoint("10.42.0.7", "node", "pod")).await.unwrap();
    let api = lab.api().await;
    let objects = api.services(Some("shop"), None).await.unwrap();
    assert_eq!(objects.services.len(), 260);
    assert_eq!(ready(&objects, "svc/s259.shop").unwrap(), ["10.42.0.7"]);
    let names = api.names(Kind::Service, "shop").await.unwrap();
    assert_eq!((names.len(), names[259].as_str()), (260, "s259"));
}

#[tokio::test]
async fn names_are_told_for_those_who_mistype() {
    let lab = Lab::recorded().await;
    let api = lab.api().await;
    assert_eq!(api.names(Kind::Service, "backend").await.unwrap(), ["echo", "internal"]);
    assert_eq!(api.names(Kind::Deployment, "backend").await.unwrap(), ["echo"]);
    assert_eq!(api.names(Kind::StatefulSet, "backend").await.unwrap(), [""; 0]);
    assert!(api.namespaces().await.unwrap().contains(&"backend".to_owned()));
}
