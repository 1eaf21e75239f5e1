//! Gates whose processes die, or have no descriptors left.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, prlimit};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::Outcome;
use crate::world::cluster::Cluster;
use crate::world::docker::{docker, run};
use crate::world::process;

/// How many descriptors a supervisor may have beside those that it has.
const ROOM: u64 = 16;

/// How long a connection to a control socket may take: with a full backlog it waits.
const CONNECT: Duration = Duration::from_millis(50);

pub(super) async fn kill_worker(cluster: &Cluster) -> Outcome {
    let supervisor = process::of_container(&cluster.gate()).await?;
    process::kill(process::child_of(supervisor).await?).await?;
    Ok(Instant::now())
}

pub(super) async fn kill(cluster: &Cluster) -> Outcome {
    process::kill(process::of_container(&cluster.gate()).await?).await?;
    Ok(Instant::now())
}

pub(super) async fn stop_by_kill(cluster: &Cluster) -> Outcome {
    docker(&["kill", &cluster.gate()]).await?;
    cluster.cli.succeed("start").await?;
    Ok(Instant::now())
}

/// Takes the supervisor's descriptors away, and has it do something that needs some.
pub(super) async fn exhaust_descriptors(cluster: &Cluster, connections: u16, lasts: Duration) -> Outcome {
    let supervisor = process::of_container(&cluster.gate()).await?;
    let open = std::fs::read_dir(format!("/proc/{}/fd", supervisor.as_raw_nonzero()));
    let open = open.context("cannot count the supervisor's descriptors")?.count() as u64;
    // To raise the hard limit takes a right that root may lack.
    let few = Rlimit { current: Some(open + ROOM), maximum: process::hard_limit(supervisor)? };
    let before =
        prlimit(Some(supervisor), Resource::Nofile, few).context("cannot limit the supervisor's descriptors")?;
    let exhausted = exhaust(cluster, connections, lasts).await;
    prlimit(Some(supervisor), Resource::Nofile, before).context("cannot restore the supervisor's descriptors")?;
    exhausted?;
    let end = Instant::now();
    super::ports::open_and_close(cluster).await.context("after the connections to the control socket")?;
    Ok(end)
}

async fn exhaust(cluster: &Cluster, connections: u16, lasts: Duration) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut held = Vec::new();
    for _ in 0..connections {
        if let Ok(Ok(connection)) = timeout(CONNECT, UnixStream::connect(cluster.control_socket())).await {
            held.push(connection);
        } else if begin.elapsed() > lasts {
            break;
        }
    }
    // A foreign change of nftables, after which a gate looks at its own rules.
    run("nft", &["add", "table", "ip", &cluster.name]).await?;
    run("nft", &["delete", "table", "ip", &cluster.name]).await?;
    sleep(lasts.saturating_sub(begin.elapsed())).await;
    Ok(())
}
