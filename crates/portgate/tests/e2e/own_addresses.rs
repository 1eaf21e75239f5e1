//! Endpoints that have an address of the host: whoever may write them must not lead past the host's firewall.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use portgate_double::object::{endpoint_slice, service};
use tokio::net::TcpListener;

use super::cluster;
use crate::client::{tcp_echoes, tcp_is_closed};
use crate::kubernetes::{INNER, NAMESPACE, PODS};
use crate::support::{Cluster, free_port, local};

/// The address of the cluster's bridge on the host.
async fn bridge(cluster: &Cluster) -> String {
    let format = "{{(index .IPAM.Config 0).Gateway}}";
    cluster.docker(&["network", "inspect", "--format", format, &cluster.network()]).await.trim().to_owned()
}

/// The address by which the host is known to other machines, if it has one.
fn lan() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent: an address for documentation (RFC 5737) is enough to choose a route.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|address| !address.is_loopback())
}

#[tokio::test]
async fn an_endpoint_with_an_address_of_the_host_is_not_led_to() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    let service_of_the_host = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let number = service_of_the_host.local_addr().unwrap().port();
    let addresses = [Some("127.0.0.1".to_owned()), Some(bridge(&cluster).await), lan().map(|lan| lan.to_string())];
    let mut forged = Vec::new();
    for (index, address) in addresses.into_iter().flatten().enumerate() {
        // Of the first two the API server gives no address of their own, as it does of the others.
        let name = format!("forged-{index}");
        let to = service(&name, NAMESPACE).port("tcp", number);
        kubernetes.apply(if index < 2 { to.headless() } else { to }).await;
        let slice = endpoint_slice(&name, NAMESPACE).port("tcp", number);
        kubernetes.apply(slice.endpoint(&address, kubernetes.node(0), "forged")).await;
        forged.push((name, address, free_port()));
    }
    let ports: Vec<String> = forged.iter().map(|(name, _, port)| format!("{port}:svc/{name}.{NAMESPACE}")).collect();
    let opened = cluster.run(&format!("open --bind 0.0.0.0 {}", ports.join(" "))).await.fails(1);
    assert!(!opened.stderr.contains("NET_ADMIN"), "{}", opened.stderr);
    let listed = cluster.run("ls -o wide").await.ok().stdout;
    for (name, address, port) in &forged {
        let why = format!("cannot lead to {address} of svc/{name}.{NAMESPACE}: it is");
        assert!(opened.stdout.contains(&why), "{why}: {}", opened.stdout);
        assert!(listed.contains(&why), "{why}: {listed}");
        let mapping = cluster.mapping(*port).await;
        assert_eq!((&mapping["reason"], &mapping["address"]), (&"forbidden".into(), &address.as_str().into()));
        tcp_is_closed(local(*port)).await;
        if let Some(lan) = lan() {
            tcp_is_closed(SocketAddr::new(lan, *port)).await;
        }
    }
    let listed = cluster.run(&format!("services -n {NAMESPACE} -o json")).await.ok().json();
    let is_forged = |item: &&serde_json::Value| item["name"].as_str().is_some_and(|name| name.starts_with("forged"));
    let of_forged: Vec<_> = listed["items"].as_array().unwrap().iter().filter(is_forged).collect();
    assert_eq!(of_forged.len(), forged.len());
    assert!(of_forged.iter().all(|item| item["why"]["reason"] == "forbidden"), "{listed:#}");
    let reached = tokio::time::timeout(std::time::Duration::ZERO, service_of_the_host.accept()).await;
    assert!(reached.is_err(), "the host's service was reached: {reached:?}");
}

#[tokio::test]
async fn the_good_endpoints_beside_it_are_led_to_and_the_log_says_what_is_not() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    let bridge = bridge(&cluster).await;
    let service_of_the_host = TcpListener::bind(format!("{bridge}:{INNER}")).await.unwrap();
    kubernetes.apply(service("mixed", NAMESPACE).port("tcp", INNER)).await;
    let slice = endpoint_slice("mixed", NAMESPACE).port("tcp", INNER).endpoint(PODS[0], kubernetes.node(0), "good");
    kubernetes.apply(slice.endpoint(&bridge, kubernetes.node(0), "forged")).await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/mixed.{NAMESPACE}")).await.ok();
    for _ in 0..4 {
        tcp_echoes(local(port)).await;
    }
    let backends = cluster.mapping(port).await["backends"].take();
    assert_eq!(backends.as_array().unwrap().len(), 1, "{backends:#}");
    assert_eq!(backends[0]["address"], format!("{}:{INNER}", PODS[0]), "{backends:#}");
    let logs = cluster.run("logs").await.ok();
    let is_said = |line: &str| line.contains("not led to") && line.contains(&bridge);
    assert!(logs.stdout.lines().chain(logs.stderr.lines()).any(is_said), "{}{}", logs.stdout, logs.stderr);
    let reached = tokio::time::timeout(std::time::Duration::ZERO, service_of_the_host.accept()).await;
    assert!(reached.is_err(), "the host's service was reached: {reached:?}");
}
