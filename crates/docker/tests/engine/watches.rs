//! Following a cluster.

use std::time::{Duration, Instant};

use crate::cable::Cable;
use crate::lab::{Lab, lab};
use bollard::models::{NetworkConnectRequest, NetworkDisconnectRequest};
use portgate_core::cluster::{ClusterId, NodeState, Provider};
use portgate_docker::watch::{Sight, Watch};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// How late a sight may be. Two cores are shared with other tests, so it is more than the 100 ms that are promised.
const LATE: Duration = Duration::from_secs(1);

async fn next(watch: &mut Watch) -> Sight {
    timeout(PATIENCE, watch.next()).await.unwrap().unwrap()
}

/// The first sight of the kind.
async fn until(watch: &mut Watch, wanted: impl Fn(&Sight) -> bool) -> Sight {
    loop {
        let sight = next(watch).await;
        if wanted(&sight) {
            return sight;
        }
    }
}

fn states(sight: &Sight) -> Vec<NodeState> {
    sight.cluster.iter().flat_map(|cluster| &cluster.nodes).map(|node| node.state).collect()
}

fn on_network(lab: &Lab) -> ClusterId {
    ClusterId { provider: Provider::Network, name: lab.name.clone() }
}

/// Does something while it is watched, and tells how long after it the sight of it came.
async fn delay(watch: &mut Watch, action: impl Future<Output = ()>, wanted: impl Fn(&Sight) -> bool) -> Duration {
    let act = async {
        action.await;
        Instant::now()
    };
    let look = async {
        until(watch, wanted).await;
        Instant::now()
    };
    let (done, seen) = tokio::join!(act, look);
    seen.saturating_duration_since(done)
}

#[tokio::test]
async fn a_nodes_life_is_seen_without_delay() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    lab.play("agent-0", "agent").await;
    lab.play("serverlb", "loadbalancer").await;
    lab.engine.create_gate(&lab.gate(Vec::new())).await.unwrap();
    lab.engine.start(&lab.name).await.unwrap();
    let agent = format!("{}-agent-0", lab.name);

    let mut watch = lab.engine.watch(&lab.cluster(), &lab.name);
    let first = next(&mut watch).await;
    assert_eq!(states(&first), [NodeState::Running; 2]);
    let names: Vec<&String> = first.containers.keys().collect();
    assert_eq!(names, [&agent, &format!("{}-server-0", lab.name), &format!("{}-serverlb", lab.name)]);
    assert!(first.containers.values().all(|addresses| addresses.len() == 1));
    assert_eq!(first.bridge, lab.engine.bridge(&lab.name).await.unwrap());

    let stop = async { lab.engine.stop(&agent, Duration::ZERO).await.unwrap() };
    let stopped = delay(&mut watch, stop, |sight| states(sight)[1] == NodeState::Stopped).await;
    let start = async { lab.engine.start(&agent).await.unwrap() };
    let started = delay(&mut watch, start, |sight| sight.containers.contains_key(&agent)).await;
    eprintln!("seen {stopped:?} after a stop, {started:?} after a start");
    assert!(stopped < LATE && started < LATE);

    Lab::docker().pause_container(&agent).await.unwrap();
    let paused = until(&mut watch, |sight| states(sight)[1] == NodeState::Paused).await;
    assert!(!paused.containers.contains_key(&agent));
    Lab::docker().unpause_container(&agent).await.unwrap();
    assert_eq!(until(&mut watch, |sight| states(sight)[1] == NodeState::Running).await, first);

    lab.engine.remove_demo(&lab.name).await.err().unwrap();
    let gone = until(&mut watch, |sight| sight.cluster.is_none()).await;
    assert!(gone.containers.is_empty());
}

#[tokio::test]
async fn a_container_that_joins_and_leaves_the_network_is_seen() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let other = lab.guest().await;
    let mut watch = lab.engine.watch(&on_network(&lab), &lab.name);
    assert_eq!(next(&mut watch).await.cluster.unwrap().nodes, []);
    let docker = Lab::docker();
    let mut slowest = Duration::ZERO;
    for _ in 0..5 {
        let join = async {
            let request = NetworkConnectRequest { container: other.clone(), ..NetworkConnectRequest::default() };
            docker.connect_network(&lab.name, request).await.unwrap();
        };
        slowest = slowest.max(delay(&mut watch, join, |sight| sight.containers.contains_key(&other)).await);
        let leave = async {
            let request = NetworkDisconnectRequest { container: other.clone(), force: None };
            docker.disconnect_network(&lab.name, request).await.unwrap();
        };
        slowest = slowest.max(delay(&mut watch, leave, |sight| sight.containers.is_empty()).await);
    }
    eprintln!("seen at most {slowest:?} after a connection to the network");
    assert!(slowest < LATE);

    lab.engine.remove_demo(&lab.name).await.unwrap();
    let gone = until(&mut watch, |sight| sight.cluster.is_none()).await;
    assert_eq!(gone.bridge, None);
}

#[tokio::test]
async fn what_changes_nothing_is_not_seen() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let mut watch = lab.engine.watch(&lab.cluster(), "another");
    assert_eq!(next(&mut watch).await.cluster, None);
    lab.play("user", "noRole").await;
    let more = timeout(Duration::from_millis(500), watch.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn an_engine_that_goes_away_is_told_once_and_found_again() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let Some(socket) = lab.engine.socket_path() else { return };
    let cable = Cable::to(socket).await;
    let engine = cable.engine().await;
    let mut watch = engine.watch(&on_network(&lab), &lab.name);
    let first = next(&mut watch).await;
    assert!(timeout(Duration::from_millis(500), watch.next()).await.is_err());

    cable.cut().await;
    timeout(PATIENCE, watch.next()).await.unwrap().unwrap_err();
    assert!(timeout(Duration::from_millis(500), watch.next()).await.is_err());
    cable.mend().await;
    assert_eq!(next(&mut watch).await, first);
    lab.play("late", "noRole").await;
    assert_eq!(next(&mut watch).await.containers.len(), 1);
}

#[tokio::test]
async fn a_node_that_starts_while_the_engine_is_away_is_seen_to_run() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    let node = format!("{}-server-0", lab.name);
    let Some(socket) = lab.engine.socket_path() else { return };
    let cable = Cable::to(socket).await;
    let mut watch = cable.engine().await.watch(&lab.cluster(), &lab.name);
    assert_eq!(states(&next(&mut watch).await), [NodeState::Running]);
    lab.engine.stop(&node, Duration::ZERO).await.unwrap();
    until(&mut watch, |sight| states(sight) == [NodeState::Stopped]).await;

    cable.cut().await;
    timeout(PATIENCE, watch.next()).await.unwrap().unwrap_err();
    lab.engine.start(&node).await.unwrap();
    // Events of the last two seconds are told again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    cable.mend().await;
    assert_eq!(states(&next(&mut watch).await), [NodeState::Running]);
}

#[tokio::test]
async fn a_cluster_stays_while_its_node_has_left_the_network() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    let node = format!("{}-server-0", lab.name);
    let mut watch = lab.engine.watch(&lab.cluster(), &lab.name);
    let first = next(&mut watch).await;
    let request = NetworkDisconnectRequest { container: node.clone(), force: None };
    Lab::docker().disconnect_network(&lab.name, request).await.unwrap();
    let away = until(&mut watch, |sight| sight.containers.is_empty()).await;
    assert_eq!(away.cluster.unwrap().nodes, []);
    let request = NetworkConnectRequest { container: node, ..NetworkConnectRequest::default() };
    Lab::docker().connect_network(&lab.name, request).await.unwrap();
    assert_eq!(states(&until(&mut watch, |sight| !sight.containers.is_empty()).await), states(&first));
}

#[tokio::test]
async fn events_that_break_off_are_resumed_in_silence() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let Some(socket) = lab.engine.socket_path() else { return };
    let cable = Cable::to(socket).await;
    let mut watch = cable.engine().await.watch(&on_network(&lab), &lab.name);
    next(&mut watch).await;
    assert!(timeout(Duration::from_millis(500), watch.next()).await.is_err());
    cable.hang_up().await;
    lab.play("late", "noRole").await;
    let resumed = loop {
        // A broken connection may be told, as the engine's absence is.
        if let Ok(sight) = timeout(PATIENCE, watch.next()).await.unwrap()
            && !sight.containers.is_empty()
        {
            break sight;
        }
    };
    assert_eq!(resumed.containers.len(), 1);
}

#[tokio::test]
async fn a_bridge_is_found_by_its_network() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let bridge = lab.engine.bridge(&lab.name).await.unwrap().unwrap();
    assert!(bridge.starts_with("br-"));
    if lab.engine.info().await.unwrap().why_not_host().is_none() {
        assert!(std::path::Path::new("/sys/class/net").join(bridge).exists());
    }
    assert_eq!(lab.engine.bridge("host").await.unwrap(), None);
    assert_eq!(lab.engine.bridge(&format!("{}-gone", lab.name)).await.unwrap(), None);
}
