//! The engine restarts, as it does with the machine.

use std::time::Instant;

use crate::engine::{OwnEngine, in_own_network};
use crate::flows::{Connections, Datagrams};
use crate::support::{DATAGRAM_ECHO, ECHO, OTHER_ECHO, cluster_on, free_port, local};

#[test]
fn all_ports_are_open_again_after_a_restart_of_the_engine() {
    in_own_network(async || {
        let mut engine = OwnEngine::start().await;
        let Some(cluster) = cluster_on(Some(engine.host())).await else { return };
        // As k3d's nodes are.
        cluster.docker(&["update", "--restart", "unless-stopped", &cluster.node("server-0")]).await;
        let (tcp, other, udp) = (free_port(), free_port(), free_port());
        cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
        cluster.run(&format!("open {other}:{OTHER_ECHO}")).await.ok();
        let (mut first, mut second) = (Connections::start(local(tcp)), Connections::start(local(other)));
        let datagrams = Datagrams::start(local(udp)).await;
        first.works().await;
        second.works().await;
        datagrams.works().await;

        assert_eq!(cluster.gates().await.len(), 2);
        engine.stop();
        let stopped = Instant::now();
        engine.start_again().await;
        println!("the engine was away for {:?}", stopped.elapsed());
        first.works().await;
        second.works().await;
        datagrams.works().await;
        println!("all ports worked again {:?} after it had stopped", stopped.elapsed());
    });
}
