//! Nodes that pause, move, get other names, are disconnected or removed, and clusters that are made again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::time::sleep;

use super::Outcome;
use crate::fault::{Node, Subject};
use crate::model::BUSY;
use crate::world::cluster::Cluster;
use crate::world::docker::docker;
use crate::world::leftovers::has_container;
use crate::world::process::within;

/// How many containers may take addresses until one has that of a stopped node.
const PLACEHOLDERS: u32 = 8;

/// How long a gate on the host may stay whose cluster is gone: two seconds, in which a tool could make it again, and the
/// time that its sweeper takes.
const DELETED: Duration = Duration::from_secs(8);

pub(super) async fn pause(cluster: &Cluster, node: Node, lasts: Duration) -> Outcome {
    docker(&["pause", &cluster.node(node)]).await?;
    sleep(lasts).await;
    docker(&["unpause", &cluster.node(node)]).await?;
    Ok(Instant::now())
}

/// Stops a node, and starts it while another container has its address.
pub(super) async fn move_away(cluster: &Cluster, node: Node) -> Outcome {
    let name = cluster.node(node);
    let old = cluster.address(&name).await?.with_context(|| format!("{name} has no address"))?;
    docker(&["stop", &name]).await?;
    let mut placeholders = Vec::new();
    for number in 0..PLACEHOLDERS {
        let placeholder = format!("k3d-{}-placeholder-{number}", cluster.name);
        cluster.add_idle(&placeholder).await?;
        let address = cluster.address(&placeholder).await?;
        placeholders.push(placeholder);
        if address == Some(old) {
            break;
        }
    }
    docker(&["start", &name]).await?;
    let end = Instant::now();
    ensure!(cluster.address(&name).await? != Some(old), "{name} has its old address {old}");
    for placeholder in placeholders {
        docker(&["rm", "--force", &placeholder]).await?;
    }
    Ok(end)
}

pub(super) async fn rename(cluster: &Cluster, node: Node, lasts: Duration) -> Outcome {
    let name = cluster.node(node);
    let other = format!("{name}-renamed");
    docker(&["rename", &name, &other]).await?;
    sleep(lasts).await;
    docker(&["rename", &other, &name]).await?;
    Ok(Instant::now())
}

pub(super) async fn disconnect(cluster: &Cluster, node: Node, lasts: Duration) -> Outcome {
    docker(&["network", "disconnect", &cluster.network(), &cluster.node(node)]).await?;
    sleep(lasts).await;
    docker(&["network", "connect", &cluster.network(), &cluster.node(node)]).await?;
    Ok(Instant::now())
}

pub(super) async fn remove(cluster: &Cluster, node: Node, lasts: Duration) -> Outcome {
    docker(&["rm", "--force", &cluster.node(node)]).await?;
    sleep(lasts).await;
    cluster.add(node).await?;
    Ok(Instant::now())
}

/// Removes all nodes. A gate on the host goes with them, and its user opens the ports again; one with published ports
/// stays, for it is on the network.
pub(super) async fn make_again(cluster: &Cluster) -> Outcome {
    for node in [Node::First, Node::Second] {
        docker(&["rm", "--force", &cluster.node(node)]).await?;
    }
    if cluster.subject == Subject::Host {
        let gate = cluster.gate();
        let is_gone = async || {
            let is_there = has_container(&gate).await || cluster.directory().exists() || has_volume(&gate).await;
            (!is_there).then_some(())
        };
        let gone = within(DELETED + BUSY, is_gone).await;
        ensure!(
            gone.is_some(),
            "{gate}, its volume or its directory is there {DELETED:?} after its cluster was deleted"
        );
    }
    for node in [Node::First, Node::Second] {
        cluster.add(node).await?;
    }
    if cluster.subject == Subject::Host {
        cluster.open().await?;
    }
    Ok(Instant::now())
}

async fn has_volume(name: &str) -> bool {
    docker(&["volume", "inspect", name]).await.is_ok()
}
