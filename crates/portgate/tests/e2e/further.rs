//! Further ports of gates with published ports: each is in a container of its own.

use std::net::TcpListener;
use std::time::Duration;

use insta::assert_snapshot;

use crate::client::{Talk, tcp_echoes};
use crate::support::{Cluster, ECHO, OTHER_ECHO, cluster, free_port, local};

/// What tells a container from one that was made or started anew.
async fn life(cluster: &Cluster, container: &str) -> (String, String) {
    let inspection = cluster.inspect(container).await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&inspection["Id"]), text(&inspection["State"]["StartedAt"]))
}

#[tokio::test]
async fn a_further_port_gets_a_further_container_and_touches_no_other() {
    let Some(cluster) = cluster().await else { return };
    let (first, further) = (free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    let before = life(&cluster, &cluster.gate()).await;
    let mut talk = Talk::start(local(first)).await;

    let opened = cluster.run(&format!("open {first}:{ECHO} {further}:{OTHER_ECHO}")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 1, "{}", opened.stdout);
    assert!(opened.elapsed < Duration::from_secs(10), "it took {:?}", opened.elapsed);
    println!("a further port was opened in {:?}", opened.elapsed);
    talk.goes_on().await;
    assert_eq!(life(&cluster, &cluster.gate()).await, before);
    assert_eq!(cluster.gates().await, [cluster.gate(), format!("{}-2", cluster.gate())]);
    tcp_echoes(local(first)).await;
    tcp_echoes(local(further)).await;
}

#[tokio::test]
async fn a_dry_run_says_the_steps_and_does_nothing() {
    let Some(cluster) = cluster().await else { return };
    let (port, gate) = (free_port(), cluster.gate());
    let planned = cluster.run(&format!("open --dry-run {port}:{ECHO}")).await.ok();
    assert_eq!(
        planned.stdout,
        format!("create container {gate} (published placement): open localhost:{port}/tcp -> {ECHO}\n")
    );
    cluster.is_untouched().await;
    TcpListener::bind(local(port)).unwrap();

    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    let planned = cluster.run(&format!("open --dry-run {port}:{ECHO}")).await.ok();
    assert_eq!(planned.stdout, "");
    let further = free_port();
    let planned = cluster.run(&format!("open --dry-run {port}:{ECHO} {further}:{ECHO}")).await.ok();
    assert_eq!(
        planned.stdout,
        format!("create container {gate}-2 (published placement): open localhost:{further}/tcp -> {ECHO}\n")
    );
    assert_eq!(cluster.gates().await, [gate]);
}

#[tokio::test]
async fn a_great_many_ports_are_not_published_by_mistake() {
    let Some(cluster) = cluster().await else { return };
    assert_snapshot!(cluster.run("open 1024-61023").await.fails(2).stderr, @"
    error: 60000 ports at once
    hint: Docker runs a process for each port and host address, 60000 ports would take long; --yes goes on
    ");
    cluster.is_untouched().await;
}
