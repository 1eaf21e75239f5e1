//! `portgate down`: what it removes, and what it leaves alone.

use std::net::TcpListener;

use crate::support::{Cluster, ECHO, cluster, free_port, lines, local};

/// The names of all that this cluster has in the engine, sorted.
async fn everything(cluster: &Cluster) -> Vec<String> {
    let name = format!("name={}", cluster.name);
    let containers = cluster.docker(&["ps", "--all", "--format", "container {{.Names}}", "--filter", &name]).await;
    let volumes = cluster.docker(&["volume", "ls", "--format", "volume {{.Name}}", "--filter", &name]).await;
    let networks = cluster.docker(&["network", "ls", "--format", "network {{.Name}}", "--filter", &name]).await;
    let mut everything = lines(&(containers + &volumes + &networks));
    everything.sort();
    everything
}

async fn open_in_two_containers(cluster: &Cluster) -> [u16; 2] {
    let ports = [free_port(), free_port()];
    for port in ports {
        cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    }
    ports
}

#[tokio::test]
async fn down_removes_what_portgate_made_and_nothing_else() {
    let Some(cluster) = cluster().await else { return };
    cluster.add_node("agent-0", "agent").await;
    let before = everything(&cluster).await;
    assert_eq!(before.len(), 3, "{before:?}");
    let ports = open_in_two_containers(&cluster).await;
    assert_eq!(everything(&cluster).await.len(), before.len() + 3);

    let down = cluster.run("down").await.ok();
    assert_eq!(down.stdout, "");
    assert_eq!(down.stderr.matches(" is removed").count(), 2, "{}", down.stderr);
    assert_eq!(everything(&cluster).await, before);
    for port in ports {
        TcpListener::bind(local(port)).unwrap();
    }
    let running = cluster.docker(&["ps", "--quiet", "--filter", &format!("label=k3d.cluster={}", cluster.name)]).await;
    assert_eq!(lines(&running).len(), 2);
}

#[tokio::test]
async fn down_is_fine_when_there_is_nothing() {
    let Some(cluster) = cluster().await else { return };
    let down = cluster.run("down").await.ok();
    assert_eq!((down.stdout.as_str(), down.stderr.as_str()), ("", "There is nothing to remove.\n"));
    open_in_two_containers(&cluster).await;
    cluster.run("down").await.ok();
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn down_works_on_a_stopped_cluster_with_a_stopped_gate() {
    let Some(cluster) = cluster().await else { return };
    open_in_two_containers(&cluster).await;
    cluster.docker(&["kill", &cluster.node("server-0")]).await;
    cluster.docker(&["stop", "--time", "0", &cluster.gate()]).await;
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn down_works_once_the_cluster_is_gone() {
    let Some(cluster) = cluster().await else { return };
    open_in_two_containers(&cluster).await;
    cluster.docker(&["rm", "--force", &cluster.node("server-0")]).await;
    for gate in cluster.gates().await {
        cluster.docker(&["network", "disconnect", "--force", &cluster.network(), &gate]).await;
    }
    cluster.docker(&["network", "rm", &cluster.network()]).await;
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn down_leaves_another_clusters_ports_open() {
    let Some((cluster, other)) = cluster().await.zip(crate::support::cluster().await) else { return };
    let (port, others) = (free_port(), free_port());
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    other.run(&format!("open {others}:{ECHO}")).await.ok();
    cluster.run("down").await.ok();
    crate::client::tcp_echoes(local(others)).await;
    assert_eq!(other.gates().await, [other.gate()]);
}
