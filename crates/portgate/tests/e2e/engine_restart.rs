//! The engine restarts, as it does with the machine.

use std::time::{Duration, Instant};

use portgate_core::status::Placement;

use crate::engine::{OwnEngine, in_own_network};
use crate::flows::{Connections, Datagrams};
use crate::support::{DATAGRAM_ECHO, ECHO, OTHER_ECHO, cluster_on, eventually, free_port, local, turn};

/// How soon all is well again once the engine answers; a busy machine starts containers slowly.
const RECOVERY: Duration = Duration::from_secs(5);

#[test]
fn all_ports_are_open_again_after_a_restart_of_the_engine() {
    in_own_network(|| restart(Placement::Published));
}

#[test]
fn all_ports_of_the_host_are_open_again_after_a_restart_of_the_engine() {
    in_own_network(|| restart(Placement::Host));
}

async fn restart(placement: Placement) {
    let _turn = turn().await;
    let mut engine = OwnEngine::start().await;
    let Some(cluster) = cluster_on(Some(engine.host())).await else { return };
    // As k3d's nodes are.
    cluster.docker(&["update", "--restart", "unless-stopped", &cluster.node("server-0")]).await;
    // This one has to be started by hand.
    cluster.add_node("agent-0", "agent").await;
    let (tcp, other, udp) = (free_port(), free_port(), free_port());
    cluster.open_in(placement, &format!("{tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await;
    cluster.open_in(placement, &format!("{other}:{OTHER_ECHO}")).await;
    let (mut first, mut second) = (Connections::start(local(tcp)), Connections::start(local(other)));
    let datagrams = Datagrams::start(local(udp)).await;
    first.works().await;
    second.works().await;
    datagrams.works().await;

    let gates = cluster.gates().await;
    assert_eq!(gates.len(), if placement == Placement::Host { 1 } else { 2 });
    let begun = Instant::now();
    engine.stop();
    println!("{placement}: the engine took {:?} to stop", begun.elapsed());
    let stopped = Instant::now();
    engine.start_again().await;
    let answered = Instant::now();
    println!("{placement}: the engine was away for {:?}", stopped.elapsed());
    first.works().await;
    second.works().await;
    datagrams.works().await;
    println!(
        "{placement}: all ports worked again {:?} after it had stopped, {:?} after it answered",
        stopped.elapsed(),
        answered.elapsed()
    );
    assert!(answered.elapsed() < RECOVERY, "{:?}", answered.elapsed());
    assert_eq!(cluster.gates().await, gates);

    if placement == Placement::Host {
        let nodes = async || cluster.mapping(tcp).await["backends"].as_array().map(Vec::len);
        assert_eq!(nodes().await, Some(1));
        cluster.docker(&["start", &cluster.node("agent-0")]).await;
        let started = Instant::now();
        eventually(async || nodes().await.filter(|count| *count == 2)).await;
        println!("{placement}: the other node was there {:?} after its start", started.elapsed());
        assert_eq!(cluster.mapping(tcp).await["datapath"], "kernel");
    }
}
