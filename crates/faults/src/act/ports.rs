//! Ports that are opened and closed, alone, at once, and while others take them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use tokio::net::TcpStream;

use super::Outcome;
use crate::load::{exchange_tcp, exchange_udp};
use crate::model::BUSY;
use crate::node::PORT;
use crate::world::cluster::Cluster;
use crate::world::forward::Forward;
use crate::world::process::within;

/// How soon an open port works, and a closed one refuses.
const SOON: Duration = Duration::from_secs(1);

/// How soon a port is listened on that another program has let go: it is tried every 5 s.
const TRIED: Duration = Duration::from_secs(5);

/// How many bytes show whether a port works.
const LENGTH: u64 = 100_000;

pub(super) async fn open_and_close(cluster: &Cluster) -> Outcome {
    let port = cluster.spare[0];
    cluster.cli.succeed(&format!("open {port}:{PORT}/tcp+udp")).await?;
    works(port, SOON).await?;
    let answered = exchange_udp(local(port), u64::from(port), SOON + BUSY).await;
    answered.map_err(|loss| anyhow!("port {port}/udp was opened, and does not work: {loss}"))?;
    closes(cluster, port).await?;
    Ok(Instant::now())
}

/// Two commands open two ports at the same time, and two close them.
pub(super) async fn two_commands(cluster: &Cluster) -> Outcome {
    let [first, second] = cluster.spare;
    tokio::try_join!(opens(cluster, first), opens(cluster, second)).context("of two commands at once")?;
    tokio::try_join!(closes(cluster, first), closes(cluster, second)).context("of two commands at once")?;
    Ok(Instant::now())
}

/// Another program has a port: to open it is refused, and leaves nothing; once it is free, it is opened.
pub(super) async fn take(cluster: &Cluster) -> Outcome {
    let port = cluster.spare[0];
    let command = format!("open {port}:{PORT}");
    refused_while_taken(port, cluster.cli.fail(&command)).await?;
    let mappings = cluster.cli.mappings().await?;
    ensure!(mappings.len() == 2, "{} ports are open after one was refused, not 2", mappings.len());
    opens(cluster, port).await?;
    closes(cluster, port).await?;
    Ok(Instant::now())
}

pub(super) async fn take_forwarded(forward: &Forward) -> Outcome {
    let port = forward.spare;
    refused_while_taken(port, forward.cli.fail(&Forward::command(port))).await?;
    forward_and_close(forward).await
}

pub(super) async fn forward_and_close(forward: &Forward) -> Outcome {
    let port = forward.spare;
    forward.open(port).await?;
    works(port, SOON).await?;
    forward.cli.succeed(&format!("close {port}")).await?;
    is_closed(port).await?;
    Ok(Instant::now())
}

/// Another program takes a port while its gate is stopped: the others are served, and that one once it is free.
pub(super) async fn take_of_stopped(cluster: &Cluster) -> Outcome {
    let port = cluster.spare[0];
    opens(cluster, port).await?;
    cluster.cli.succeed("stop").await?;
    let taken = listener(port)?;
    // It may say that one of the ports is another program's.
    cluster.cli.run("start").await?;
    let end = Instant::now();
    works(cluster.tcp, SOON).await.context("while another program has a port of the same gate")?;
    drop(taken);
    works(port, TRIED).await.context("after another program let it go")?;
    closes(cluster, port).await?;
    Ok(end)
}

/// Opens a TCP port, which works.
pub(super) async fn opens(cluster: &Cluster, port: u16) -> anyhow::Result<()> {
    cluster.cli.succeed(&format!("open {port}:{PORT}")).await?;
    works(port, SOON).await
}

/// Closes a port, which refuses from then on.
pub(super) async fn closes(cluster: &Cluster, port: u16) -> anyhow::Result<()> {
    cluster.cli.succeed(&format!("close {port}")).await?;
    is_closed(port).await
}

async fn refused_while_taken<T>(port: u16, command: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<()> {
    let _taken = listener(port)?;
    command.await.context("another program has the port").map(drop)
}

fn listener(port: u16) -> anyhow::Result<TcpListener> {
    TcpListener::bind(local(port)).with_context(|| format!("cannot take port {port}, which is closed"))
}

async fn works(port: u16, soon: Duration) -> anyhow::Result<()> {
    let mut last = None;
    let answered = within(soon + BUSY, async || match exchange_tcp(local(port), u64::from(port), LENGTH).await {
        Ok(()) => Some(()),
        Err(loss) => {
            last = Some(loss);
            None
        }
    });
    match answered.await {
        Some(()) => Ok(()),
        None => Err(anyhow!("port {port} does not work: {}", last.map(|loss| loss.to_string()).unwrap_or_default())),
    }
}

async fn is_closed(port: u16) -> anyhow::Result<()> {
    let refuses = async || TcpStream::connect(local(port)).await.err().map(drop);
    within(SOON + BUSY, refuses).await.with_context(|| format!("port {port} was closed, and takes connections"))
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
