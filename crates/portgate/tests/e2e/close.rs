//! Closing ports.

use std::net::TcpListener;

use super::cluster;
use crate::client::{Talk, tcp_echoes, tcp_is_closed, udp_echoes};
use crate::support::{BOTH, Cluster, ECHO, OTHER_ECHO, free_port, free_ports, lines, local};

async fn open_names(cluster: &Cluster) -> Vec<String> {
    lines(&cluster.run("ls -o name").await.ok().stdout)
}

async fn id(cluster: &Cluster) -> serde_json::Value {
    cluster.inspect(&cluster.gate()).await["Id"].clone()
}

#[tokio::test]
async fn closing_one_port_ends_its_connections_and_no_other() {
    let Some(cluster) = cluster().await else { return };
    let (kept, closed) = (free_port(), free_port());
    cluster.run(&format!("open {kept}:{ECHO} {closed}:{OTHER_ECHO}")).await.ok();
    let container = id(&cluster).await;
    let mut through_kept = Talk::start(local(kept)).await;
    let through_closed = Talk::start(local(closed)).await;

    let ran = cluster.run(&format!("close {closed}")).await.ok();
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains(&format!("localhost:{closed}/tcp is closed")), "{}", ran.stderr);
    if cluster.is_host() {
        // The kernel says so to whoever speaks.
        through_closed.ends_if_spoken_to().await;
    } else {
        through_closed.ends().await;
    }
    tcp_is_closed(local(closed)).await;
    through_kept.goes_on().await;
    tcp_echoes(local(kept)).await;
    assert_eq!(open_names(&cluster).await, [format!("localhost:{kept}/tcp")]);
    assert_eq!(id(&cluster).await, container);
}

#[tokio::test]
async fn a_closed_port_is_opened_again_in_the_same_container() {
    let Some(cluster) = cluster().await else { return };
    let (kept, again) = (free_port(), free_port());
    cluster.run(&format!("open {kept}:{ECHO} {again}:{ECHO}")).await.ok();
    let container = id(&cluster).await;
    cluster.run(&format!("close {again}")).await.ok();
    let opened = cluster.run(&format!("open {again}:{OTHER_ECHO}")).await.ok();
    println!("a closed port was opened again in {:?}", opened.elapsed);
    tcp_echoes(local(again)).await;
    assert_eq!(cluster.mapping(again).await["target"]["port"], OTHER_ECHO);
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    assert_eq!(id(&cluster).await, container);
}

#[tokio::test]
async fn the_container_goes_with_its_last_port_and_the_volume_with_the_last_container() {
    let Some(cluster) = cluster().await else { return };
    let (first, second) = (free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    cluster.run(&format!("open {second}:{ECHO}")).await.ok();

    cluster.run(&format!("close {second}")).await.ok();
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    assert_eq!(cluster.volumes().await, [cluster.gate()]);
    TcpListener::bind(local(second)).unwrap();
    tcp_echoes(local(first)).await;

    cluster.run(&format!("close {first}")).await.ok();
    cluster.is_untouched().await;
    TcpListener::bind(local(first)).unwrap();
}

#[tokio::test]
async fn one_protocol_of_a_port_is_closed() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{BOTH}/tcp+udp")).await.ok();
    cluster.run(&format!("close {port}/tcp")).await.ok();
    assert_eq!(open_names(&cluster).await, [format!("localhost:{port}/udp")]);
    tcp_is_closed(local(port)).await;
    udp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_range_is_closed_at_once() {
    let Some(cluster) = cluster().await else { return };
    let (first, other) = (free_ports(2), free_port());
    let last = first + 1;
    cluster.run(&format!("open {first}-{last}:{BOTH}-{} {other}:{ECHO}", BOTH + 1)).await.ok();
    cluster.run(&format!("close {first}-{last}")).await.ok();
    assert_eq!(open_names(&cluster).await, [format!("localhost:{other}/tcp")]);
}

#[tokio::test]
async fn all_ports_are_closed_at_once() {
    let Some(cluster) = cluster().await else { return };
    let (first, second, third) = (free_port(), free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO} {second}:{ECHO}")).await.ok();
    cluster.run(&format!("open {third}:{ECHO}")).await.ok();
    let closed = cluster.run("close --all").await.ok();
    assert_eq!(closed.stderr.matches(" is closed").count(), 3, "{}", closed.stderr);
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_dry_run_closes_nothing() {
    let Some(cluster) = cluster().await else { return };
    let (one, other) = (free_port(), free_port());
    cluster.run(&format!("open {one}:{ECHO} {other}:{ECHO}")).await.ok();
    let planned = cluster.run(&format!("close --dry-run {one}")).await.ok();
    let gate = cluster.gate();
    assert_eq!(planned.stdout, format!("change container {gate}: close localhost:{one}/tcp -> {ECHO}\n"));
    let planned = cluster.run("close --dry-run --all").await.ok();
    assert!(planned.stdout.starts_with(&format!("remove container {gate}: close ")), "{}", planned.stdout);
    tcp_echoes(local(one)).await;
    tcp_echoes(local(other)).await;
}

#[tokio::test]
async fn two_commands_at_once_close_their_ports() {
    let Some(cluster) = cluster().await else { return };
    let (one, other) = (free_port(), free_port());
    cluster.run(&format!("open {one}:{ECHO} {other}:{ECHO}")).await.ok();
    let commands = [format!("close {one}"), format!("close {other}")];
    let (first, second) = tokio::join!(cluster.run(&commands[0]), cluster.run(&commands[1]));
    first.ok();
    second.ok();
    cluster.is_untouched().await;
}
