//! Opened ports behind which something is not in order.

use super::cluster;
use crate::client::tcp_echoes;
use crate::support::{DATAGRAM_ECHO, ECHO, NOTHING, SILENT, free_port, local};

#[tokio::test]
async fn a_port_whose_target_does_not_listen_is_told_and_stays_open() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let opened = cluster.run(&format!("open {port}:{NOTHING}")).await.fails(1);
    let node = cluster.node("server-0");
    assert!(opened.stdout.contains(" broken: "), "{}", opened.stdout);
    assert!(opened.stdout.contains(&node) && opened.stdout.contains("refuse"), "{}", opened.stdout);
    assert!(opened.stderr.contains("error: 1 of 1 opened port"), "{}", opened.stderr);
    assert!(opened.stderr.contains("stays open"), "{}", opened.stderr);

    assert_eq!(cluster.mapping(port).await["state"], "open");
    let tested = cluster.run(&format!("test {port}")).await.fails(1);
    assert!(tested.stdout.contains(" broken: ") && tested.stdout.contains(&node), "{}", tested.stdout);
    assert!(tested.stderr.contains("error: 1 of 1 port"), "{}", tested.stderr);
}

#[tokio::test]
async fn one_broken_port_among_good_ones_is_told_apart() {
    let Some(cluster) = cluster().await else { return };
    let (good, bad) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {good}:{ECHO} {bad}:{NOTHING}")).await.fails(1);
    let line = |port: u16| opened.stdout.lines().find(|line| line.contains(&port.to_string())).unwrap();
    assert!(line(good).contains(" ok: ") && line(bad).contains(" broken: "), "{}", opened.stdout);
    tcp_echoes(local(good)).await;
}

#[tokio::test]
async fn a_datagram_that_is_refused_is_broken() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let opened = cluster.run(&format!("open {port}:{NOTHING}/udp")).await.fails(1);
    assert!(opened.stdout.contains(" broken: "), "{}", opened.stdout);
    assert!(opened.stdout.contains("nothing listens there"), "{}", opened.stdout);
    assert!(opened.stdout.contains(&cluster.node("server-0")), "{}", opened.stdout);
}

#[tokio::test]
async fn a_datagram_that_is_not_answered_is_silent_and_no_failure() {
    let Some(cluster) = cluster().await else { return };
    let (silent, echo) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {silent}:{SILENT}/udp {echo}:{DATAGRAM_ECHO}/udp")).await.ok();
    let line = |port: u16| opened.stdout.lines().find(|line| line.contains(&port.to_string())).unwrap();
    assert!(line(silent).contains(" silent: ") && line(silent).contains("no proof"), "{}", opened.stdout);
    assert!(line(echo).contains(" ok: "), "{}", opened.stdout);
    let tested = cluster.run(&format!("test {silent}/udp --timeout 200ms")).await.ok();
    assert!(tested.stdout.contains(" silent: "), "{}", tested.stdout);
}

#[tokio::test]
async fn one_listening_node_of_two_is_enough() {
    let Some(cluster) = cluster().await else { return };
    // The first by name, so that each connection tries it first.
    cluster.add_idle_node("agent-0", "agent").await;
    let (tcp, udp) = (free_port(), free_port());
    // UDP cannot be asked whether it listens: the kernel path leads to either node at first.
    let datagrams = if cluster.is_host() { String::new() } else { format!("{udp}:{DATAGRAM_ECHO}/udp") };
    let opened = cluster.run(&format!("open {tcp}:{ECHO} {datagrams}")).await;
    assert!(opened.stdout.contains(&format!("localhost:{tcp}/tcp")), "{}{}", opened.stdout, opened.stderr);
    let line = opened.stdout.lines().find(|line| line.contains(&format!(":{tcp}/tcp"))).unwrap();
    assert!(line.contains(" ok: "), "{}", opened.stdout);
    for _ in 0..5 {
        tcp_echoes(local(tcp)).await;
    }
    let backends = cluster.mapping(tcp).await["backends"].as_array().unwrap().len();
    assert_eq!(backends, 2);
    opened.ok();
}
