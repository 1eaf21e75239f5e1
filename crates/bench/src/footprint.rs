//! What a gate occupies, and how long commands take.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::bed::Bed;
use crate::docker::docker;
use crate::gate::Gate;
use crate::ground::Ground;
use crate::load::HttpClient;
use crate::path::Path;
use crate::ports::Ports;
use crate::process::{footprint, wait_until};
use crate::service::Service;
use crate::statistics::median;

/// How many idle connections DESIGN promises for.
const CONNECTIONS: usize = 10_000;

/// How many mapped ports.
pub(crate) const PORTS: usize = 1_000;

/// Descriptors of a gate for all but connections.
const OTHER_DESCRIPTORS: usize = 200;

/// How many connections are opened at a time.
const AT_A_TIME: usize = 64;

/// How long many connections may take.
const PATIENCE: Duration = Duration::from_secs(30);

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// What a gate occupies. Memory is resident memory in MiB, that of the executable's own pages included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Memory {
    /// The executable, in MiB.
    pub(crate) executable: f64,
    /// The image, in MiB, as Docker says.
    pub(crate) image: Option<f64>,
    /// A gate of one container, before any traffic.
    pub(crate) published: Option<f64>,
    /// A gate in process placement, before any traffic.
    pub(crate) idle: f64,
    /// So many connections, each of which has had an answer to a request and now rests:
    pub(crate) connections: usize,
    /// the memory with them,
    pub(crate) with_connections: f64,
    /// and after they have gone.
    pub(crate) after_connections: f64,
    /// What [`PORTS`] further ports add to a new gate.
    pub(crate) ports: f64,
    /// The threads that they add.
    pub(crate) ports_threads: f64,
    /// How long they took to open, all in one request, in milliseconds.
    pub(crate) ports_time: f64,
}

/// Whole processes of portgate's CLI, in milliseconds. The gate is published, so each `open` makes a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Commands {
    /// `portgate open --no-wait` of one more port.
    pub(crate) open_no_wait: f64,
    /// `portgate open` of one more port, which tests it.
    pub(crate) open: f64,
    /// `portgate close` of a port.
    pub(crate) close: f64,
}

/// Looks at gates of its own in process placement, and at the published one if there is one.
pub(crate) async fn memory(ground: &Ground, bed: &mut Bed) -> anyhow::Result<Memory> {
    let executable = fs::metadata(&ground.portgate.executable).context("cannot look at portgate")?.len();
    let mut memory = Memory { executable: executable as f64 / MEBIBYTE, ..Memory::default() };
    if bed.routes.contains_key(&Path::Published) {
        let (image, resident) = published(ground).await?;
        (memory.image, memory.published) = (Some(image), Some(resident));
    }
    with_connections(ground, bed, &mut memory).await?;
    with_ports(ground, bed, &mut memory).await?;
    Ok(memory)
}

async fn published(ground: &Ground) -> anyhow::Result<(f64, f64)> {
    let container = ground.portgate.id().gate_name();
    let inspected = docker(&["inspect", "--format", "{{.State.Pid}} {{.Image}}", &container], b"").await?;
    let (process, image) = inspected.split_once(' ').context("docker's answer is not understood")?;
    let bytes: f64 = docker(&["image", "inspect", "--format", "{{.Size}}", image], b"").await?.parse()?;
    Ok((bytes / MEBIBYTE, footprint(process.parse()?)?.resident))
}

async fn with_connections(ground: &Ground, bed: &mut Bed, memory: &mut Memory) -> anyhow::Result<()> {
    let route = bed.ports.route(Path::Relay)?;
    let mut gate = Gate::start(&ground.portgate, &ground.directory().join("idle"), bed.node, &route).await?;
    memory.idle = gate.process.footprint()?.resident;

    let address = route.to(Service::Http).context("no path is without HTTP")?;
    let limit = getrlimit(Resource::Nofile).maximum.and_then(|limit| usize::try_from(limit).ok());
    // The gate has two descriptors for each connection.
    let count = limit.map_or(CONNECTIONS, |limit| CONNECTIONS.min(limit.saturating_sub(OTHER_DESCRIPTORS) / 2));
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
    memory.connections = open.len();
    memory.with_connections = gate.process.footprint()?.resident;
    drop(open);
    wait_until("the connections end", PATIENCE, async || {
        Ok(gate.status().await?.mappings.iter().all(|mapping| mapping.counters.connections_open == 0))
    })
    .await?;
    memory.after_connections = gate.process.footprint()?.resident;
    Ok(())
}

async fn with_ports(ground: &Ground, bed: &mut Bed, memory: &mut Memory) -> anyhow::Result<()> {
    let route = bed.ports.route(Path::Relay)?;
    let mut gate = Gate::start(&ground.portgate, &ground.directory().join("ports"), bed.node, &route).await?;
    // Its first answers are not the ports' doing.
    gate.status().await?;
    let before = gate.process.footprint()?;
    let ports = bed.ports.take(PORTS)?;
    let start = std::time::Instant::now();
    gate.open(&ports, Service::Ping.port()).await?;
    memory.ports_time = start.elapsed().as_secs_f64() * 1e3;
    let after = gate.process.footprint()?;
    memory.ports = after.resident - before.resident;
    memory.ports_threads = f64::from(after.threads) - f64::from(before.threads);
    Ok(())
}

/// Opens and closes one more port, again and again.
pub(crate) async fn commands(ground: &Ground, ports: &mut Ports, times: u32) -> anyhow::Result<Commands> {
    let [mut open_no_wait, mut open, mut close] = [const { Vec::new() }; 3];
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    for _ in 0..times {
        let port = ports.next()?;
        let (spec, port) = (format!("{port}:{}", Service::Http.port()), port.to_string());
        open_no_wait.push(ground.portgate.run(&words(&["open", "--no-wait", &spec])).await?);
        close.push(ground.portgate.run(&words(&["close", &port])).await?);
        open.push(ground.portgate.run(&words(&["open", &spec])).await?);
        close.push(ground.portgate.run(&words(&["close", &port])).await?);
    }
    let milliseconds = |times: Vec<Duration>| {
        let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        median(&times).unwrap_or_default()
    };
    Ok(Commands { open_no_wait: milliseconds(open_no_wait), open: milliseconds(open), close: milliseconds(close) })
}
