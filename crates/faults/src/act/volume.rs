//! State volumes that take nothing more.

use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::Outcome;
use super::ports::{closes, opens};
use crate::fault::Damage;
use crate::node::PORT;
use crate::world::cluster::Cluster;

/// Damages the volume. Meanwhile a port is closed, or it is said which gate would have to go for that, and another is
/// opened or refused; afterwards both can be done.
pub(super) async fn damage(cluster: &Cluster, damage: Damage) -> Outcome {
    let [first, second] = cluster.spare;
    opens(cluster, first).await?;
    cluster.volume.damage(damage).await?;
    let tried = try_both(cluster, first, second).await;
    cluster.volume.mend(damage).await?;
    tried?;
    let end = Instant::now();
    for port in cluster.spare {
        if is_open(cluster, port).await? {
            closes(cluster, port).await.context("once the volume takes something again")?;
        }
    }
    opens(cluster, first).await.context("once the volume takes something again")?;
    closes(cluster, first).await?;
    Ok(end)
}

async fn try_both(cluster: &Cluster, open: u16, closed: u16) -> anyhow::Result<()> {
    let close = cluster.cli.run(&format!("close {open}")).await?;
    ensure!(
        close.code == Some(0) || close.stderr.contains(&cluster.gate()),
        "a port cannot be closed, and no gate is named that would have to go: {}",
        close.stderr
    );
    cluster.cli.run(&format!("open {closed}:{PORT}")).await.map(drop)
}

async fn is_open(cluster: &Cluster, port: u16) -> anyhow::Result<bool> {
    Ok(cluster.cli.mappings().await?.iter().any(|mapping| mapping["local"]["port"] == port))
}
