//! Ports that others hold, ports that are not open, and gates that are of another version.

use std::net::{Ipv6Addr, TcpListener, UdpSocket};

use insta::assert_snapshot;

use super::cluster;
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, OTHER_ECHO, free_port, local};

/// What a command that fails says; the cluster's name and the ports are replaced.
async fn refused(cluster: &Cluster, arguments: &str, ports: &[u16]) -> String {
    let ran = cluster.run(arguments).await.fails(1);
    assert_eq!(ran.stdout, "", "{arguments}");
    let named = ran.stderr.replace(&cluster.name, "NAME");
    ports.iter().fold(named, |text, port| text.replace(&port.to_string(), "PORT"))
}

/// This test's own process, as portgate names it.
fn this_process() -> String {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    format!("process {} (pid {})", name.trim(), std::process::id())
}

#[tokio::test]
async fn a_process_that_holds_a_tcp_port_is_named() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let _holder = TcpListener::bind(local(port)).unwrap();
    let refused = refused(&cluster, &format!("open {port}:{ECHO}"), &[port]).await;
    assert!(refused.contains(&this_process()), "{refused}");
    assert_snapshot!(refused.replace(&this_process(), "HOLDER"), @"
    error: 127.0.0.1:PORT/tcp is taken by HOLDER
    hint: name another host port, as HOSTPORT:TARGET; or free PORT/tcp
    ");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_process_that_holds_a_udp_port_is_named() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let _holder = UdpSocket::bind(local(port)).unwrap();
    let refused = refused(&cluster, &format!("open {port}:{DATAGRAM_ECHO}/udp"), &[port]).await;
    assert!(refused.contains(&this_process()), "{refused}");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_port_that_is_taken_on_ipv6_only_is_taken() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let Ok(_holder) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)) else { return };
    let refused = refused(&cluster, &format!("open {port}:{ECHO}"), &[port]).await;
    assert!(refused.starts_with("error: [::1]:PORT/tcp is taken by "), "{refused}");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_container_that_holds_a_port_is_named() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let (name, demo) = (format!("{}-web", cluster.name), format!("dev.portgate.demo={}", cluster.name));
    let publish = format!("127.0.0.1:{port}:{ECHO}");
    let run = ["run", "--detach", "--name", &name, "--label", &demo, "--publish", &publish, cluster.image()];
    cluster.docker(&run).await;
    assert_snapshot!(refused(&cluster, &format!("open {port}:{ECHO}"), &[port]).await, @"
    error: 127.0.0.1:PORT/tcp is taken by container NAME-web
    hint: name another host port, as HOSTPORT:TARGET; or free PORT/tcp
    ");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn another_clusters_gate_that_holds_a_port_is_named() {
    let Some((cluster, other)) = cluster().await.zip(super::cluster().await) else { return };
    let port = free_port();
    other.run(&format!("open {port}:{ECHO}")).await.ok();
    let refused = refused(&cluster, &format!("open {port}:{ECHO}"), &[port]).await;
    assert!(refused.contains(&format!("is taken by container {}", other.gate())), "{refused}");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn an_address_that_this_machine_lacks_is_refused() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    // Kept for documentation by RFC 5737: no machine has it.
    let arguments = format!("open --bind 192.0.2.7 {port}:{ECHO}");
    let refused = refused(&cluster, &arguments, &[port]).await;
    assert!(refused.starts_with("error: 192.0.2.7 is not an address of this machine"), "{refused}");
    assert!(refused.contains("hint: `ip address` lists this machine's"), "{refused}");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_port_that_leads_elsewhere_already_is_refused() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    assert_snapshot!(refused(&cluster, &format!("open {port}:{OTHER_ECHO}"), &[port]).await, @"
    error: localhost:PORT/tcp -> 30379 collides with localhost:PORT/tcp -> 30999, which is open already
    hint: close it first (`portgate close PORT/tcp`), or name another host port (`HOSTPORT:30379`)
    ");
    let twice = free_port();
    let arguments = format!("open {twice}:{ECHO} {twice}:{OTHER_ECHO}");
    assert_snapshot!(refused(&cluster, &arguments, &[twice]).await, @"
    error: localhost:PORT/tcp -> 30379 collides with localhost:PORT/tcp -> 30999: both were asked for
    hint: give one of them another host port, as HOSTPORT:30379
    ");
    assert_eq!(cluster.mapping(port).await["target"]["port"], ECHO);
    assert_eq!(cluster.gates().await, [cluster.gate()]);
}

#[tokio::test]
async fn a_port_that_is_not_open_comes_with_those_that_are() {
    let Some(cluster) = cluster().await else { return };
    let (open, other) = (free_port(), free_port());
    cluster.run(&format!("open {open}:{ECHO}")).await.ok();
    let redacted = |text: String| text.replace(&open.to_string(), "OPEN").replace(&other.to_string(), "OTHER");
    assert_snapshot!(redacted(refused(&cluster, &format!("close {open} {other}/udp"), &[]).await), @"
    error: OTHER/udp is not open on cluster NAME
    hint: open are localhost:OPEN/tcp
    ");
    assert_snapshot!(redacted(refused(&cluster, &format!("test {other}"), &[]).await), @"
    error: OTHER is not open on cluster NAME
    hint: open are localhost:OPEN/tcp
    ");
    cluster.mapping(open).await;
}

#[tokio::test]
async fn commands_say_that_nothing_is_open() {
    let Some(cluster) = cluster().await else { return };
    let nothing = refused(&cluster, "close --all", &[]).await;
    assert_snapshot!(nothing, @"
    error: no port is open on cluster NAME
    hint: open one with `portgate open PORT`
    ");
    for command in ["close 30999", "test", "logs", "stop", "start", "restart"] {
        assert_eq!(refused(&cluster, command, &[]).await, nothing, "{command}");
    }
}

#[tokio::test]
async fn an_image_that_the_engine_lacks_is_refused() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let arguments = format!("open --image {}:missing {port}:{ECHO}", cluster.name);
    assert_snapshot!(refused(&cluster, &arguments, &[port]).await, @"
    error: the engine has no image NAME:missing
    hint: fetch it with `docker pull NAME:missing`
    ");
    cluster.is_untouched().await;
}
