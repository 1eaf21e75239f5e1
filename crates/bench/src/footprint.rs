//! What a gate occupies.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use portgate_core::status::{Datapath, Placement};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::docker::docker;
use crate::gate::{Gate, Site, Test};
use crate::ground::Ground;
use crate::load::HttpClient;
use crate::path::Path;
use crate::ports::Ports;
use crate::process::{Footprint, wait_until};
use crate::service::Service;

/// How many idle connections DESIGN promises for.
const CONNECTIONS: usize = 10_000;

/// How many mapped ports.
pub(crate) const PORTS: u16 = 1_000;

/// Descriptors of a process for all but connections.
const OTHER_DESCRIPTORS: usize = 200;

/// How many connections are opened at a time.
const AT_A_TIME: usize = 64;

/// How long many connections may take.
const PATIENCE: Duration = Duration::from_secs(30);

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// What a gate occupies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// The executable, in MiB.
    pub(crate) executable: f64,
    /// The image, in MiB, as Docker says.
    pub(crate) image: f64,
    /// A gate in host placement, before any traffic: the supervisor and the worker.
    pub(crate) host: Footprint,
    /// The same gate with [`PORTS`] further ports.
    pub(crate) host_with_ports: Footprint,
    /// A gate of one container in published placement, before any traffic.
    pub(crate) published: Footprint,
    /// So many connections, each of which has had an answer to a request and now rests:
    pub(crate) connections: usize,
    /// a gate in host placement whose relay has them,
    pub(crate) with_connections: Footprint,
    /// and after they have gone.
    pub(crate) after_connections: Footprint,
}

/// Looks at gates of its own, one after the other: two that run from one image would share its pages.
pub(crate) async fn memory(ground: &Ground, ports: &mut Ports) -> anyhow::Result<Memory> {
    let executable = fs::metadata(&ground.portgate).context("cannot look at portgate")?.len();
    let mut memory = Memory { executable: executable as f64 / MEBIBYTE, ..Memory::default() };

    let host = Site { placement: Placement::Host, datapath: Datapath::Kernel };
    let gate = ground.gate("memory", host).await?;
    gate.carry(&ports.route(Path::Kernel)?).await?;
    let image = gate.inspect("{{.Image}}").await?;
    let bytes: f64 = docker(&["image", "inspect", "--format", "{{.Size}}", &image], b"").await?.parse()?;
    memory.image = bytes / MEBIBYTE;
    memory.host = gate.footprint().await?;
    gate.open_more(&ports.range(PORTS)?, Test::NoWait).await?;
    memory.host_with_ports = gate.footprint().await?;
    gate.remove().await?;

    let gate = gate.at(Site { placement: Placement::Published, datapath: Datapath::Relay });
    gate.carry(&ports.route(Path::Published)?).await?;
    memory.published = gate.footprint().await?;
    gate.remove().await?;

    let gate = gate.at(Site { datapath: Datapath::Relay, ..host });
    with_connections(&gate, ports, &mut memory).await?;
    gate.remove().await?;
    Ok(memory)
}

async fn with_connections(gate: &Gate, ports: &mut Ports, memory: &mut Memory) -> anyhow::Result<()> {
    let route = ports.route(Path::Relay)?;
    gate.carry(&route).await?;
    let address = route.to(Service::Http).context("no path is without HTTP")?;
    let own_limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
    let own = own_limit.unwrap_or(usize::MAX).saturating_sub(OTHER_DESCRIPTORS);
    // The gate has two descriptors for each connection.
    let theirs = gate.descriptors().await?.saturating_sub(OTHER_DESCRIPTORS) / 2;
    let open = connect(address, CONNECTIONS.min(own).min(theirs)).await?;
    memory.connections = open.len();
    memory.with_connections = gate.footprint().await?;
    drop(open);
    wait_until("the connections end", PATIENCE, async || {
        Ok(gate.rows().await?.iter().all(|row| row.counters.connections_open == 0))
    })
    .await?;
    memory.after_connections = gate.footprint().await?;
    Ok(())
}

async fn connect(address: SocketAddr, count: usize) -> anyhow::Result<Vec<HttpClient>> {
    let mut dialing = JoinSet::new();
    let mut open = Vec::with_capacity(count);
    for number in 0..count {
        if number >= AT_A_TIME {
            open.extend(dialing.join_next().await.transpose()?.transpose()?);
        }
        dialing.spawn(HttpClient::open(address));
    }
    while let Some(client) = dialing.join_next().await {
        open.push(client??);
    }
    Ok(open)
}
