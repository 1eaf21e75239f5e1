//! What a gate in the host's network does when Services change under it.

use std::time::{Duration, Instant};

use portgate_docker::labels;
use portgate_double::object::service;
use portgate_double::{Fault, Resource};

use crate::client::{tcp_echoes, udp_echoes};
use crate::kubernetes::{BOTH_PROTOCOLS, INNER, INTERNAL, NAMESPACE, PODS};
use crate::support::{BOTH, Cluster, ECHO, eventually, free_port, host_cluster, local};

/// How soon a change is to be followed, and how much longer a busy machine may take.
const SOON: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(2);

/// A network that the host has no part in yet, and the address that it then has there.
const LATER_NETWORK: &str = "10.42.211.0/24";
const LATER: &str = "10.42.211.9";

/// Waits until a mapping's first backend has this address.
async fn leads_to(cluster: &Cluster, port: u16, address: &str) {
    let start = Instant::now();
    eventually(async || {
        let mapping = cluster.mapping_of(port, "tcp").await;
        (mapping["backends"][0]["address"] == address).then_some(())
    })
    .await;
    let elapsed = start.elapsed();
    println!("a change was followed in {elapsed:?}");
    assert!(elapsed < SOON + SLACK, "it took {elapsed:?}");
}

#[tokio::test]
async fn a_new_node_port_a_recreated_service_and_a_moved_pod_are_followed() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    kubernetes.apply(service("headless", NAMESPACE).headless().port("tcp", INNER)).await;
    kubernetes.lead("headless", PODS[0], 0).await;
    let (shop, headless) = (free_port(), free_port());
    cluster.run(&format!("open -n backend {shop}:svc/shop:tcp {headless}:svc/headless")).await.ok();
    let node = kubernetes.address(0);
    leads_to(&cluster, shop, &format!("{node}:{ECHO}")).await;

    kubernetes.apply(service("shop", NAMESPACE).at("10.43.99.1").port("tcp", INNER).node_port(BOTH)).await;
    leads_to(&cluster, shop, &format!("{node}:{BOTH}")).await;
    tcp_echoes(local(shop)).await;

    kubernetes.api.delete(Resource::Services, NAMESPACE, "shop").await.unwrap();
    eventually(async || (cluster.mapping(shop).await["reason"] == "not-found").then_some(())).await;
    kubernetes.apply(service("shop", NAMESPACE).at(INTERNAL).port("tcp", INNER)).await;
    leads_to(&cluster, shop, &format!("{INTERNAL}:{INNER}")).await;
    tcp_echoes(local(shop)).await;

    kubernetes.lead("headless", PODS[1], 1).await;
    leads_to(&cluster, headless, &format!("{}:{INNER}", PODS[1])).await;
    tcp_echoes(local(headless)).await;
}

#[tokio::test]
async fn an_api_server_that_is_away_changes_nothing_and_its_return_is_noticed() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.apply(service("both", NAMESPACE).at(BOTH_PROTOCOLS).port("tcp", INNER).udp_port("udp", INNER)).await;
    kubernetes.lead("both", PODS[0], 0).await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/both.backend")).await.ok();
    kubernetes.api.fault(Fault::RefuseConnections).await.unwrap();
    kubernetes.api.fault(Fault::KillConnections).await.unwrap();
    tcp_echoes(local(port)).await;
    udp_echoes(local(port)).await;

    kubernetes.api.fault(Fault::AcceptConnections).await.unwrap();
    kubernetes.apply(service("both", NAMESPACE).at(INTERNAL).port("tcp", INNER).udp_port("udp", INNER)).await;
    leads_to(&cluster, port, &format!("{INTERNAL}:{INNER}")).await;
}

#[tokio::test]
async fn what_is_known_of_services_outlives_a_restart_of_the_gate() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/shop.backend:tcp")).await.ok();
    kubernetes.api.fault(Fault::RefuseConnections).await.unwrap();
    cluster.run("restart").await.ok();
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn an_address_that_the_host_gets_later_is_no_longer_led_to() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.apply(service("headless", NAMESPACE).headless().port("tcp", INNER)).await;
    kubernetes.lead("headless", LATER, 0).await;
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:svc/headless.{NAMESPACE}")).await.ok();
    leads_to(&cluster, port, &format!("{LATER}:{INNER}")).await;
    let (name, label) = (format!("{}-later", cluster.name), format!("{}={}", labels::DEMO, cluster.name));
    let subnet = ["--subnet", LATER_NETWORK, "--gateway", LATER];
    cluster.docker(&[&["network", "create", "--label", &label][..], &subnet, &[&name]].concat()).await;
    eventually(async || (cluster.mapping(port).await["because"] == "host").then_some(())).await;
    cluster.docker(&["network", "rm", &name]).await;
    leads_to(&cluster, port, &format!("{LATER}:{INNER}")).await;
}
