//! Nodes that come and go beneath a gate in the host's network.

use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::client::{say, tcp_echoes};
use crate::flows::{Connections, Datagrams};
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, eventually, free_port, host_cluster, local, turn};

/// How many connections show whether they are balanced.
const CONNECTIONS: usize = 40;

/// How many connections a node's server has open, as its own network sees it.
async fn open_connections(cluster: &Cluster, node: &str) -> usize {
    let id = cluster.inspect(&cluster.node(node)).await["State"]["Pid"].to_string();
    let table = std::fs::read_to_string(format!("/proc/{id}/net/tcp")).unwrap_or_default();
    // `sl local_address rem_address st`, in hexadecimal; 01 is ESTABLISHED.
    let is_open = |line: &&str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{ECHO:04X}")) && fields[3] == "01"
    };
    table.lines().skip(1).filter(is_open).count()
}

async fn connections(port: u16) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS {
        streams.push(TcpStream::connect(local(port)).await.unwrap());
    }
    streams
}

/// The mapping once it leads to as many nodes.
async fn leads_to(cluster: &Cluster, port: u16, nodes: usize) -> Value {
    let leads = |mapping: &Value| mapping["backends"].as_array().unwrap().len() == nodes;
    eventually(async || Some(cluster.mapping(port).await).filter(leads)).await
}

#[tokio::test]
async fn connections_are_balanced_over_the_nodes_and_a_stopped_one_gets_none() {
    let _turn = turn().await;
    let Some(cluster) = host_cluster().await else { return };
    cluster.add_node("agent-0", "agent").await;
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    assert_eq!(leads_to(&cluster, port, 2).await["datapath"], "kernel");
    let streams = connections(port).await;
    let counts = [open_connections(&cluster, "server-0").await, open_connections(&cluster, "agent-0").await];
    println!("{CONNECTIONS} connections: {counts:?} to the two nodes");
    assert_eq!(counts.iter().sum::<usize>(), CONNECTIONS);
    assert!(counts.iter().all(|count| *count >= CONNECTIONS / 8), "{counts:?}");
    drop(streams);

    let mut flow = Connections::start(local(port));
    flow.works().await;
    let start = Timestamp::now();
    cluster.docker(&["kill", &cluster.node("agent-0")]).await;
    let killed = Instant::now();
    leads_to(&cluster, port, 1).await;
    println!("a killed node was given up {:?} after `docker kill` returned", killed.elapsed());
    let known = Timestamp::now();
    flow.works().await;
    let streams = connections(port).await;
    assert_eq!(open_connections(&cluster, "server-0").await.min(CONNECTIONS), CONNECTIONS);
    drop(streams);
    let report = flow.stop().await;
    let late = report.since(known).filter(|attempt| attempt.outcome.is_err()).count();
    println!("{} connections failed while the node died", report.failures().len());
    assert_eq!(late, 0, "{report:?}");
    assert!(report.since(start).count() > 0);
}

#[tokio::test]
async fn a_stopped_clusters_ports_refuse_at_once_and_work_again_with_it() {
    let _turn = turn().await;
    let Some(cluster) = host_cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    tcp_echoes(local(tcp)).await;
    let datagrams = Datagrams::start(local(udp)).await;
    datagrams.works().await;

    cluster.docker(&["stop", &cluster.node("server-0")]).await;
    let stopped = Instant::now();
    say(local(tcp), "hello").await.map(|answer| assert_eq!(answer, "")).unwrap_or_default();
    println!("refused {:?} after `docker stop` returned", stopped.elapsed());
    assert!(stopped.elapsed().as_secs() < 5, "{:?}", stopped.elapsed());
    let mapping = leads_to(&cluster, tcp, 0).await;
    assert_eq!(mapping["reason"], "cluster-stopped");
    let again = Instant::now();
    assert_eq!(say(local(tcp), "hello").await.unwrap_or_default(), "");
    println!("refused again in {:?}", again.elapsed());
    assert!(again.elapsed().as_millis() < 500, "{:?}", again.elapsed());
    let table = cluster.run("ls").await.ok().stdout;
    assert!(table.contains("cluster stopped"), "{table}");

    let starting = Instant::now();
    cluster.docker(&["start", &cluster.node("server-0")]).await;
    let up = (Instant::now(), Timestamp::now());
    eventually(async || say(local(tcp), "hello").await.ok().filter(|answer| answer == "hello")).await;
    println!("it echoed {:?} after `docker start`, which took {:?}", up.0.elapsed(), up.0 - starting);
    datagrams.works().await;
    let report = datagrams.stop().await;
    println!("the UDP flow went on {:?} after `docker start`", report.first_after(up.1));
    assert_eq!(cluster.mapping(tcp).await["datapath"], "kernel");
}

#[tokio::test]
async fn a_node_that_is_added_later_is_used_without_a_command() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    leads_to(&cluster, port, 1).await;
    cluster.add_node("agent-0", "agent").await;
    let added = Instant::now();
    let count = async || {
        let _streams = connections(port).await;
        Some(open_connections(&cluster, "agent-0").await).filter(|count| *count > 0)
    };
    let count = eventually(count).await;
    println!("an added node got {count} of {CONNECTIONS} connections {:?} later", added.elapsed());
    leads_to(&cluster, port, 2).await;
}
