//! Clusters and containers whose names are alike.

use std::collections::HashMap;

use portgate_core::cluster::{ClusterId, Provider};
use portgate_docker::demo::DemoContainer;

use crate::client::tcp_echoes;
use crate::support::{Cluster, ECHO, cluster, free_port, local};

/// A kind cluster that is called like the k3d cluster's network.
async fn kind_cluster(cluster: &Cluster) -> ClusterId {
    let name = format!("k3d-{}", cluster.name);
    let network = format!("{}-kind", cluster.name);
    cluster.engine.create_demo_network(&cluster.name, &network).await.unwrap();
    let labels = [("io.x-k8s.kind.cluster", name.as_str()), ("io.x-k8s.kind.role", "control-plane")];
    let labels: HashMap<String, String> = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let image = cluster.image().to_owned();
    let node = DemoContainer { name: format!("{name}-control-plane"), image, command: Vec::new(), network, labels };
    cluster.engine.start_demo_container(&cluster.name, &node).await.unwrap();
    ClusterId { provider: Provider::Kind, name }
}

#[tokio::test]
async fn clusters_with_similar_names_have_gates_of_their_own() {
    let Some(cluster) = cluster().await else { return };
    let kind = kind_cluster(&cluster).await;
    let (ours, theirs) = (free_port(), free_port());
    cluster.run(&format!("open {ours}:{ECHO}")).await.ok();
    cluster.run(&format!("open {theirs}:{ECHO} --cluster kind/{}", kind.name)).await.ok();
    tcp_echoes(local(ours)).await;
    tcp_echoes(local(theirs)).await;
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    let gates = cluster.engine.gates(Some(&kind)).await.unwrap();
    assert_eq!(gates.iter().map(|gate| &gate.name).collect::<Vec<_>>(), [&kind.gate_name()]);

    cluster.run(&format!("down --cluster kind/{}", kind.name)).await.ok();
    tcp_echoes(local(ours)).await;
    cluster.run(&format!("down --cluster k3d/{}", cluster.name)).await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_stranger_with_a_gates_name_keeps_it() {
    let Some(cluster) = cluster().await else { return };
    let demo = format!("dev.portgate.demo={}", cluster.name);
    let create = ["create", "--name", &cluster.gate(), "--label", &demo, cluster.image(), "idle"];
    let stranger = cluster.docker(&create).await;
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    tcp_echoes(local(port)).await;
    assert_eq!(cluster.gates().await, [format!("{}-2", cluster.gate())]);
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
    assert_eq!(cluster.inspect(&cluster.gate()).await["Id"], *stranger.trim());
}
