//! Finding clusters, and making demonstrations of them.

use crate::lab::lab;
use portgate_core::cluster::{NodeState, Provider, Role};
use portgate_docker::clusters::Error;

#[tokio::test]
async fn the_engine_tells_what_it_is() {
    let Some(lab) = lab().await else { return };
    let info = lab.engine.info().await.unwrap();
    assert_eq!(info.os, "linux");
    assert!(!info.version.is_empty());
    assert_eq!(info.local, lab.engine.endpoint().is_local());
}

#[tokio::test]
async fn clusters_are_found_by_labels_and_by_network() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    for (part, role) in [("server-0", "server"), ("agent-0", "agent"), ("serverlb", "loadbalancer")] {
        lab.play(part, role).await;
    }
    lab.engine.create_gate(&lab.gate(Vec::new())).await.unwrap();
    lab.engine.start(&lab.name).await.unwrap();

    let clusters = lab.engine.clusters().await.unwrap();
    let cluster = clusters.iter().find(|cluster| cluster.id == lab.cluster()).unwrap();
    let roles: Vec<Role> = cluster.nodes.iter().map(|node| node.role).collect();
    assert_eq!(roles, [Role::Server, Role::Agent]);
    assert_eq!(cluster.network, lab.name);

    let network = lab.engine.cluster_on_network(&lab.name).await.unwrap();
    assert_eq!(network.id.provider, Provider::Network);
    let parts = ["agent-0", "server-0", "serverlb"].map(|part| format!("{}-{part}", lab.name));
    assert_eq!(lab.engine.containers_on(&lab.name).await.unwrap(), parts);
    assert_eq!(network.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>(), parts);
}

#[tokio::test]
async fn a_demonstration_goes_without_a_trace() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    lab.engine.remove_demo("another").await.unwrap();
    let clusters = lab.engine.clusters().await.unwrap();
    assert!(clusters.iter().any(|cluster| cluster.id == lab.cluster()));

    lab.engine.remove_demo(&lab.name).await.unwrap();
    let clusters = lab.engine.clusters().await.unwrap();
    assert!(!clusters.iter().any(|cluster| cluster.id == lab.cluster()));
    let gone = lab.engine.cluster_on_network(&lab.name).await.unwrap_err();
    assert!(matches!(gone, Error::UnknownNetwork { name, .. } if name == lab.name));
}

#[tokio::test]
async fn a_stopped_node_stays_a_node() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.play("server-0", "server").await;
    lab.engine.stop(&format!("{}-server-0", lab.name), std::time::Duration::ZERO).await.unwrap();
    let clusters = lab.engine.clusters().await.unwrap();
    let cluster = clusters.iter().find(|cluster| cluster.id == lab.cluster()).unwrap();
    assert_eq!((cluster.nodes[0].state, cluster.nodes[0].address), (NodeState::Stopped, None));
    assert_eq!(lab.engine.containers_on(&lab.name).await.unwrap(), [""; 0]);
}
