//! Which cluster is meant, and what is said if it is none.

use insta::assert_snapshot;

use crate::client::tcp_echoes;
use crate::support::{Cluster, ECHO, cluster, finish, free_port, local};

/// What a command that fails says; names are replaced by what they stand for.
async fn refused(cluster: &Cluster, arguments: &str) -> String {
    let ran = cluster.run(arguments).await.fails(1);
    assert_eq!(ran.stdout, "", "{arguments}");
    ran.stderr.replace(&cluster.name, "NAME")
}

#[tokio::test]
async fn a_misspelt_cluster_comes_with_a_suggestion() {
    let Some(cluster) = cluster().await else { return };
    let arguments = format!("open {ECHO} --cluster {}x", cluster.name);
    assert_snapshot!(refused(&cluster, &arguments).await, @"
    error: there is no cluster named NAMEx
    hint: did you mean NAME?
    ");
}

#[tokio::test]
async fn several_clusters_are_named() {
    let Some((cluster, other)) = cluster().await.zip(crate::support::cluster().await) else { return };
    let mut command = cluster.command(&["open", "30999"]);
    command.env_remove("PORTGATE_CLUSTER");
    let refused = finish(command).await.fails(1).stderr;
    assert!(refused.starts_with("error: there are several clusters: "), "{refused}");
    assert!(refused.contains(&cluster.name) && refused.contains(&other.name), "{refused}");
    assert!(refused.contains("hint: choose one with `--cluster "), "{refused}");
    assert!(refused.contains("or set PORTGATE_CLUSTER"), "{refused}");
    cluster.is_untouched().await;
    other.is_untouched().await;
}

#[tokio::test]
async fn a_cluster_is_called_by_its_name_its_network_or_with_its_provider() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    for name in [cluster.name.clone(), format!("k3d-{}", cluster.name), format!("k3d/{}", cluster.name)] {
        for command in ["open --dry-run 30999", "ls -o name", "test", "close --dry-run --all"] {
            let ran = cluster.run(&format!("{command} --cluster {name}")).await.ok();
            assert_ne!(ran.stdout, "", "{command} --cluster {name}: {}", ran.stderr);
        }
    }
}

#[tokio::test]
async fn a_stopped_cluster_comes_with_the_command_that_starts_it() {
    let Some(cluster) = cluster().await else { return };
    cluster.docker(&["kill", &cluster.node("server-0")]).await;
    assert_snapshot!(refused(&cluster, "open 30999").await, @"
    error: cluster NAME is stopped
    hint: start it with `k3d cluster start NAME`
    ");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_stopped_node_is_no_obstacle_while_another_runs() {
    let Some(cluster) = cluster().await else { return };
    cluster.add_node("agent-0", "agent").await;
    cluster.docker(&["kill", &cluster.node("agent-0")]).await;
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_container_that_is_not_there_comes_with_a_suggestion() {
    let Some(cluster) = cluster().await else { return };
    let arguments = format!("open {}:node/{}:{ECHO}", free_port(), cluster.node("sever-0"));
    assert_snapshot!(refused(&cluster, &arguments).await, @"
    error: no container named k3d-NAME-sever-0 runs on network k3d-NAME
    hint: did you mean k3d-NAME-server-0?
    ");
}

#[tokio::test]
async fn a_container_that_is_stopped_comes_with_the_command_that_starts_it() {
    let Some(cluster) = cluster().await else { return };
    let agent = cluster.node("agent-0");
    cluster.add_node("agent-0", "agent").await;
    cluster.docker(&["kill", &agent]).await;
    let refused = refused(&cluster, &format!("open {}:node/{agent}:{ECHO}", free_port())).await;
    assert!(refused.contains("k3d-NAME-agent-0"), "{refused}");
    assert!(refused.contains("docker start k3d-NAME-agent-0"), "{refused}");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_plain_network_is_a_cluster_too() {
    let Some(cluster) = cluster().await else { return };
    let (port, network) = (free_port(), cluster.network());
    let opened = cluster.run(&format!("open {port}:{ECHO} --network {network}")).await;
    let closed = cluster.run(&format!("close --all --network {network}")).await;
    assert!(opened.ok().stdout.contains(" ok: "));
    closed.ok();
}

#[tokio::test]
async fn an_unknown_network_comes_with_a_suggestion() {
    let Some(cluster) = cluster().await else { return };
    let refused = refused(&cluster, &format!("open 30999 --network {}x", cluster.network())).await;
    assert!(refused.starts_with("error: there is no Docker network named k3d-NAMEx\nhint: did you mean k3d-NAME?"));
}
