//! Nodes that restart, change their addresses, stop and come back, while applications talk to them.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portgate_core::status::Placement;
use serde_json::Value;

use crate::flows::{Connections, Datagrams, attempt};
use crate::placed::cluster_for;
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, eventually, free_port, local, turn, within};

/// How soon all is well again once a node is up.
const RECOVERY: Duration = Duration::from_secs(1);

/// How long a connection looks for a node that answers.
const DIAL: Duration = Duration::from_secs(2);

/// How soon a gate in the host's network follows an event of Docker's.
const TOLD: Duration = Duration::from_millis(200);

/// What the way to the client's side may add to it, on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

impl Cluster {
    pub(crate) async fn address(&self, node: &str) -> Option<IpAddr> {
        let inspected = self.inspect(&self.node(node)).await;
        inspected["NetworkSettings"]["Networks"][self.network()]["IPAddress"].as_str()?.parse().ok()
    }

    /// When a container's process was started.
    pub(crate) async fn started_at(&self, container: &str) -> Timestamp {
        self.inspect(container).await["State"]["StartedAt"].as_str().unwrap().parse().unwrap()
    }

    /// When a container's process last ended.
    async fn ended_at(&self, container: &str) -> Timestamp {
        self.inspect(container).await["State"]["FinishedAt"].as_str().unwrap().parse().unwrap()
    }

    /// Starts a container that takes the lowest free address of the cluster's network, where nothing listens.
    pub(crate) async fn occupy_an_address(&self) -> Option<IpAddr> {
        let name = format!("placeholder-{}", free_port());
        self.add_idle_node(&name, "noRole").await;
        self.address(&name).await
    }

    /// Opens a TCP and a UDP port, and talks through them from now on.
    async fn flows(&self, placement: Placement) -> Flows {
        let (tcp, udp) = (free_port(), free_port());
        self.open_in(placement, &format!("{tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await;
        let datapath = if placement == Placement::Host { "kernel" } else { "relay" };
        assert_eq!(self.mapping(udp).await["datapath"], datapath);
        let flows =
            Flows { tcp, connections: Connections::start(local(tcp)), datagrams: Datagrams::start(local(udp)).await };
        flows.working().await
    }
}

struct Flows {
    tcp: u16,
    connections: Connections,
    datagrams: Datagrams,
}

impl Flows {
    /// Waits until both work.
    async fn working(mut self) -> Self {
        self.connections.works().await;
        self.datagrams.works().await;
        self
    }

    /// Waits until both work, ends them, and checks that they did so soon after the node was up. `direct` goes to the
    /// node itself.
    async fn recovered(self, what: &str, cluster: &Cluster, mut direct: Connections) {
        direct.works().await;
        let flows = self.working().await;
        let (direct, connections, datagrams) =
            tokio::join!(direct.stop(), flows.connections.stop(), flows.datagrams.stop());
        let started = cluster.started_at(&cluster.node("server-0")).await;
        let listened = direct.first_after(started);
        let (tcp, udp) = (connections.first_after(started), datagrams.first_after(started));
        let lost = datagrams.lost();
        println!(
            "{what}: after the start, the node listened within {listened:?}; TCP worked after {tcp:?}, the UDP flow \
             after {udp:?}; lost {} of {} datagrams, {} of {} connections, the slowest took {:?}",
            lost.len(),
            datagrams.sent(),
            connections.failures().len(),
            connections.0.len(),
            connections.slowest(),
        );
        assert!(tcp <= listened + RECOVERY, "{tcp:?}");
        assert!(udp <= listened + RECOVERY, "{udp:?}");
        let late: Vec<_> = connections.since(started + listened).filter(|one| one.outcome.is_err()).collect();
        assert!(late.is_empty(), "the node listened, and yet: {late:?}");
        let slow: Vec<_> = connections.since(started + listened).filter(|one| one.took > RECOVERY).collect();
        assert!(slow.is_empty(), "{slow:?}");
    }
}

#[tokio::test]
async fn a_restarted_node_is_reached_again_within_a_second() {
    restart(Placement::Published).await;
}

#[tokio::test]
async fn a_restarted_node_is_reached_again_within_a_second_from_the_host() {
    restart(Placement::Host).await;
}

async fn restart(placement: Placement) {
    let _turn = turn().await;
    let Some(cluster) = cluster_for(placement).await else { return };
    let flows = cluster.flows(placement).await;
    let address = cluster.address("server-0").await.unwrap();
    let direct = Connections::start(SocketAddr::new(address, ECHO));
    cluster.docker(&["restart", &cluster.node("server-0")]).await;
    assert_eq!(cluster.address("server-0").await, Some(address));
    flows.recovered(&format!("{placement}, restarted"), &cluster, direct).await;
}

#[tokio::test]
async fn a_node_that_comes_back_with_another_address_is_reached_again_within_a_second() {
    move_away(Placement::Published).await;
}

#[tokio::test]
async fn a_node_that_comes_back_with_another_address_is_reached_again_within_a_second_from_the_host() {
    move_away(Placement::Host).await;
}

async fn move_away(placement: Placement) {
    let _turn = turn().await;
    let Some(cluster) = cluster_for(placement).await else { return };
    let flows = cluster.flows(placement).await;
    let old = cluster.address("server-0").await.unwrap();
    cluster.docker(&["stop", &cluster.node("server-0")]).await;
    eventually(async || (cluster.occupy_an_address().await == Some(old)).then_some(())).await;
    cluster.docker(&["start", &cluster.node("server-0")]).await;
    let new = cluster.address("server-0").await.unwrap();
    assert_ne!(new, old);
    flows.recovered(&format!("{placement}, moved"), &cluster, Connections::start(SocketAddr::new(new, ECHO))).await;
}

fn is_without_backend(mapping: &Value) -> bool {
    mapping["state"] == "no-backend"
}

#[tokio::test]
async fn a_stopped_node_is_reported_and_its_connections_fail_soon() {
    stop(Placement::Published).await;
}

#[tokio::test]
async fn a_stopped_node_is_reported_and_its_connections_fail_soon_from_the_host() {
    stop(Placement::Host).await;
}

async fn stop(placement: Placement) {
    let _turn = turn().await;
    let Some(cluster) = cluster_for(placement).await else { return };
    let flows = cluster.flows(placement).await;
    cluster.docker(&["stop", &cluster.node("server-0")]).await;
    let stopped = Instant::now();
    let told = async || is_without_backend(&cluster.mapping(flows.tcp).await).then_some(());
    within(RECOVERY * 2, told).await.expect("`ls` does not tell that the node is stopped");
    println!("{placement}: `ls` told of the stopped node {:?} after it", stopped.elapsed());
    let attempt = attempt(local(flows.tcp)).await;
    assert!(attempt.outcome.is_err());
    println!("{placement}: a connection to a stopped node failed after {:?}: {:?}", attempt.took, attempt.outcome);
    assert!(attempt.took < RECOVERY, "{attempt:?}");
    let table = cluster.run("ls").await.ok().stdout;
    assert!(table.contains("stopped"), "{table}");

    cluster.docker(&["start", &cluster.node("server-0")]).await;
    let address = cluster.address("server-0").await.unwrap();
    let tcp = flows.tcp;
    flows
        .recovered(&format!("{placement}, stopped"), &cluster, Connections::start(SocketAddr::new(address, ECHO)))
        .await;
    let mapping = cluster.mapping(tcp).await;
    assert!(!is_without_backend(&mapping), "{mapping:#}");
}

#[tokio::test]
async fn another_node_takes_over_from_a_stopped_one() {
    take_over(Placement::Published).await;
}

#[tokio::test]
async fn another_node_takes_over_from_a_stopped_one_from_the_host() {
    take_over(Placement::Host).await;
}

async fn take_over(placement: Placement) {
    let _turn = turn().await;
    let Some(cluster) = cluster_for(placement).await else { return };
    cluster.add_node("agent-0", "agent").await;
    let flows = cluster.flows(placement).await;
    cluster.docker(&["stop", &cluster.node("server-0")]).await;
    let ended = cluster.ended_at(&cluster.node("server-0")).await;
    let flows = flows.working().await;
    cluster.docker(&["start", &cluster.node("server-0")]).await;
    let flows = flows.working().await;
    let (connections, datagrams) = tokio::join!(flows.connections.stop(), flows.datagrams.stop());
    let failures = connections.failures();
    println!(
        "{placement}, failed over: lost {} of {} datagrams, {} of {} connections, the slowest took {:?}",
        datagrams.lost().len(),
        datagrams.sent(),
        failures.len(),
        connections.0.len(),
        connections.slowest(),
    );
    match placement {
        // The kernel leads to the node until Docker has told that it ended.
        Placement::Host => {
            let late: Vec<_> = connections.since(ended + TOLD + SLACK).filter(|one| one.outcome.is_err()).collect();
            assert!(late.is_empty(), "the node ended at {ended}, and yet: {late:?}");
        }
        // The one that the node itself cut when it ended.
        _ => assert!(failures.len() <= 1, "{failures:?}"),
    }
    assert!(connections.slowest() < DIAL + SLACK, "{:?}", connections.slowest());
    // No more than a second's.
    assert!(datagrams.lost().len() < 1000, "{}", datagrams.lost().len());
}
