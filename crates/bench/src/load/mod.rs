//! The load generators. Each measures what has been received, never what has been sent.

mod crew;
mod dial;
mod exchange;
mod stream;

use std::time::Duration;

use tokio::time::sleep;

pub(crate) use exchange::{HttpClient, answers, http, round_trips};
pub(crate) use stream::{connections, datagrams, echo, echoed_connections, echoes, throughput};

use crate::cpu;
use crate::server::Sample;

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// What passes before it begins, until everything runs as it will.
    pub(crate) warm_up: Duration,
    /// How long it is.
    pub(crate) length: Duration,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Direction {
    /// From the client to the node.
    Up,
    /// From the node to the client.
    Down,
}

/// What happened within the window.
#[derive(Clone, Copy, Debug)]
struct Seen {
    elapsed: Duration,
    bytes: u64,
    datagrams: u64,
    cpu: Duration,
}

/// Takes samples at both ends of the window.
async fn watch(window: Window, mut sample: impl AsyncFnMut() -> anyhow::Result<Sample>) -> anyhow::Result<Seen> {
    sleep(window.warm_up).await;
    let (cpu, first) = (cpu::busy()?, sample().await?);
    sleep(window.length).await;
    let (last, cpu_after) = (sample().await?, cpu::busy()?);
    Ok(Seen {
        elapsed: last.at.saturating_sub(first.at),
        bytes: last.bytes - first.bytes,
        datagrams: last.datagrams - first.datagrams,
        cpu: cpu_after.saturating_sub(cpu),
    })
}
