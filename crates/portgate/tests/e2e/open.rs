//! Opening ports, through the real program and a real engine.

use std::net::{IpAddr, Ipv6Addr, TcpListener};
use std::time::Duration;

use super::cluster;
use crate::client::{tcp_echoes, udp_echoes};
use crate::support::{BOTH, Cluster, DATAGRAM_ECHO, ECHO, free_port, free_ports, lines, local};

/// What tells a container from one that was made or started anew.
async fn life(cluster: &Cluster, container: &str) -> (String, String) {
    let inspection = cluster.inspect(container).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&inspection["Id"]), text(&inspection["State"]["StartedAt"]))
}

#[tokio::test]
async fn two_ports_are_opened_tested_and_reached() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 2, "{}", opened.stdout);
    assert!(opened.elapsed < Duration::from_secs(10), "it took {:?}", opened.elapsed);
    println!("two ports were opened in {:?}", opened.elapsed);

    tcp_echoes(local(tcp)).await;
    tcp_echoes((Ipv6Addr::LOCALHOST, tcp).into()).await;
    udp_echoes(local(udp)).await;
    udp_echoes((Ipv6Addr::LOCALHOST, udp).into()).await;
}

#[tokio::test]
async fn opening_what_is_open_is_a_quiet_success() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    let ports = format!("{tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp");
    cluster.run(&format!("open {ports}")).await.ok();
    let before = life(&cluster, &cluster.gate()).await;

    let again = cluster.run(&format!("open {ports}")).await.ok();
    assert_eq!(again.stdout, "");
    assert_eq!(again.stderr.matches("is open already").count(), 2, "{}", again.stderr);
    assert_eq!(life(&cluster, &cluster.gate()).await, before);
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    println!("nothing was opened in {:?}", again.elapsed);
}

#[tokio::test]
async fn ports_that_are_not_waited_for_are_open_all_the_same() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    let opened = cluster.run(&format!("open --no-wait {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    assert_eq!(opened.stdout, "");
    println!("two ports were opened untested in {:?}", opened.elapsed);
    tcp_echoes(local(tcp)).await;
    udp_echoes(local(udp)).await;
}

#[tokio::test]
async fn a_port_listens_on_the_address_that_was_named_and_on_no_other() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let opened = cluster.run(&format!("open --bind 127.0.0.2 {port}:{ECHO}")).await.ok();
    assert!(!opened.stderr.contains("warning"), "{}", opened.stderr);
    let named: IpAddr = "127.0.0.2".parse().unwrap();
    tcp_echoes((named, port).into()).await;
    TcpListener::bind(local(port)).unwrap();
    TcpListener::bind((Ipv6Addr::LOCALHOST, port)).unwrap();
    assert_eq!(cluster.mapping(port).await["local"]["addresses"], serde_json::json!(["127.0.0.2"]));
}

#[tokio::test]
async fn a_port_for_other_machines_comes_with_a_warning() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let opened = cluster.run(&format!("open --bind 0.0.0.0 {port}:{ECHO}")).await;
    let closed = cluster.run("close --all").await;
    let opened = opened.ok();
    closed.ok();
    assert!(opened.stderr.contains("warning:"), "{}", opened.stderr);
    // Docker's published ports are open past the firewall.
    assert_eq!(opened.stderr.contains("ufw"), !cluster.is_host(), "{}", opened.stderr);
    assert!(opened.stderr.contains(&format!("0.0.0.0:{port}/tcp")), "{}", opened.stderr);
}

#[tokio::test]
async fn a_range_of_both_protocols_opens_each_port_of_each() {
    let Some(cluster) = cluster().await else { return };
    let (first, last) = (free_ports(2), BOTH + 1);
    let second = first + 1;
    let opened = cluster.run(&format!("open {first}-{second}:{BOTH}-{last}/tcp+udp")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 4, "{}", opened.stdout);
    let names = cluster.run("ls -o name").await.ok().stdout;
    let expected = [first, second].map(|port| ["tcp", "udp"].map(|protocol| format!("localhost:{port}/{protocol}")));
    assert_eq!(lines(&names), expected.concat());
    for port in [first, second] {
        tcp_echoes(local(port)).await;
        udp_echoes(local(port)).await;
    }
}

#[tokio::test]
async fn a_port_of_one_container_is_opened() {
    let Some(cluster) = cluster().await else { return };
    cluster.add_node("registry", "registry").await;
    let (port, container) = (free_port(), cluster.node("registry"));
    cluster.run(&format!("open {port}:node/{container}:{ECHO}")).await.ok();
    tcp_echoes(local(port)).await;
    let mapping = cluster.mapping(port).await;
    assert_eq!(mapping["target"], serde_json::json!({ "kind": "node", "container": container, "port": ECHO }));
    assert_eq!(mapping["backends"].as_array().unwrap().len(), 1);
    assert_eq!(mapping["backends"][0]["node"], *container);
}

#[tokio::test]
async fn the_outcome_is_a_document_if_one_is_asked_for() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let opened = cluster.run(&format!("open -o json {port}:{ECHO}")).await.ok().json();
    let trial = &opened["items"][0];
    assert_eq!(trial["verdict"], "ok");
    assert_eq!(trial["local"]["port"], port);
    assert_eq!(trial["target"], serde_json::json!({ "kind": "nodeport", "port": ECHO }));
    let hops = trial["hops"].as_array().unwrap();
    let ways: Vec<_> = hops.iter().map(|hop| (hop["from"].as_str(), hop["outcome"].as_str())).collect();
    let expected = ["host", "host", "gate"].map(|from| (Some(from), Some("answered")));
    assert_eq!(ways, expected);
    assert!(hops.iter().all(|hop| hop["seconds"].as_f64().unwrap() > 0.0));
}
