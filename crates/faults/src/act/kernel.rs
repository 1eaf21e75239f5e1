//! Others who change the kernel's rules, settings and flows: those of the gate of a run, and no others.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::Outcome;
use crate::conntrack;
use crate::model::BUSY;
use crate::world::cluster::Cluster;
use crate::world::docker::run;
use crate::world::leftovers::tables;
use crate::world::process::within;

/// How soon what was removed is there again.
const RESTORED: Duration = Duration::from_secs(1);

/// Tries to delete every table with the cluster's name, or its bridge's. The kernel refuses it for those that have an
/// owner; the others are there again soon.
pub(super) async fn delete_tables(cluster: &Cluster) -> Outcome {
    let bridge = bridge(cluster).await?;
    let list = async || {
        let mut found = tables(&cluster.name).await.ok()?;
        found.extend(tables(&bridge).await.ok()?);
        Some(found)
    };
    let before = list().await.context("cannot list the tables")?;
    ensure!(!before.is_empty(), "the gate has no table");
    for table in &before {
        let words: Vec<&str> = table.split_whitespace().collect();
        let _ = run("nft", &[&["delete", "table"], &words[..]].concat()).await;
    }
    let end = Instant::now();
    let restored = within(RESTORED + BUSY, async || (list().await? == before).then_some(())).await;
    ensure!(restored.is_some(), "the tables were {before:?} and are {:?}", list().await);
    Ok(end)
}

/// The kernel tells nobody of it.
pub(super) async fn loopback_off(cluster: &Cluster) -> Outcome {
    let path = format!("/proc/sys/net/ipv4/conf/{}/route_localnet", bridge(cluster).await?);
    fs::write(&path, "0").with_context(|| format!("cannot write {path}"))?;
    Ok(Instant::now())
}

/// Deletes the entries of what the kernel path carries.
pub(super) fn delete_flows(cluster: &Cluster) -> Outcome {
    let ports = [cluster.tcp, cluster.udp];
    let deleted = conntrack::delete(&ports).context("cannot delete conntrack entries")?;
    ensure!(deleted > 0, "there is no conntrack entry of ports {ports:?}");
    Ok(Instant::now())
}

async fn bridge(cluster: &Cluster) -> anyhow::Result<String> {
    let bridge = cluster.engine.bridge(&cluster.network()).await?;
    bridge.with_context(|| format!("network {} has no bridge", cluster.network()))
}
