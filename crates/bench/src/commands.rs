//! How long commands take, as whole processes.

use std::time::Duration;

use portgate_core::status::{Datapath, Placement};
use serde::Serialize;

use crate::footprint::PORTS;
use crate::gate::{Gate, Site, Test};
use crate::ground::Ground;
use crate::path::Path;
use crate::ports::Ports;
use crate::service::Service;
use crate::statistics::median;

/// How often a port is opened and closed on the host.
const ON_HOST: u32 = 10;

/// How often a range of ports is.
const RANGES: u32 = 3;

/// The medians, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Commands {
    /// In host placement, on a gate that runs.
    pub(crate) host: OnePort,
    /// In published placement, where each `open` makes a container.
    pub(crate) published: OnePort,
    /// In host placement `portgate open --no-wait` of [`PORTS`] further ports as one range,
    pub(crate) open_range: f64,
    /// `portgate ls` with them,
    pub(crate) ls_range: f64,
    /// and `portgate close` of them.
    pub(crate) close_range: f64,
}

/// Of one more port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct OnePort {
    /// `portgate open --no-wait`.
    pub(crate) open_no_wait: f64,
    /// `portgate open`, which tests it.
    pub(crate) open: f64,
    /// `portgate close`.
    pub(crate) close: f64,
}

/// Opens and closes ports again and again: `published` times in published placement.
pub(crate) async fn commands(ground: &Ground, ports: &mut Ports, published: u32) -> anyhow::Result<Commands> {
    let mut commands = Commands::default();
    let host = Site { placement: Placement::Host, datapath: Datapath::Kernel };
    let gate = ground.gate("commands", host).await?;
    gate.carry(&ports.route(Path::Kernel)?).await?;
    commands.host = one_port(&gate, ports, ON_HOST).await?;
    range(&gate, ports, &mut commands).await?;
    gate.remove().await?;

    let gate = gate.at(Site { placement: Placement::Published, datapath: Datapath::Relay });
    gate.carry(&ports.route(Path::Published)?).await?;
    commands.published = one_port(&gate, ports, published).await?;
    gate.remove().await?;
    Ok(commands)
}

async fn one_port(gate: &Gate, ports: &mut Ports, times: u32) -> anyhow::Result<OnePort> {
    let [mut open_no_wait, mut open, mut close] = [const { Vec::new() }; 3];
    for _ in 0..times {
        let port = ports.next()?;
        let (spec, port) = (format!("{port}:{}", Service::Http.port()), port.to_string());
        open_no_wait.push(gate.open_more(&spec, Test::NoWait).await?);
        close.push(gate.close(&port).await?);
        open.push(gate.open_more(&spec, Test::Wait).await?);
        close.push(gate.close(&port).await?);
    }
    Ok(OnePort { open_no_wait: milliseconds(&open_no_wait), open: milliseconds(&open), close: milliseconds(&close) })
}

async fn range(gate: &Gate, ports: &mut Ports, commands: &mut Commands) -> anyhow::Result<()> {
    let [mut open, mut ls, mut close] = [const { Vec::new() }; 3];
    let range = ports.range(PORTS)?;
    for _ in 0..RANGES {
        open.push(gate.open_more(&range, Test::NoWait).await?);
        ls.push(gate.list().await?);
        close.push(gate.close(&range).await?);
    }
    (commands.open_range, commands.ls_range) = (milliseconds(&open), milliseconds(&ls));
    commands.close_range = milliseconds(&close);
    Ok(())
}

fn milliseconds(times: &[Duration]) -> f64 {
    let times: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    median(&times).unwrap_or_default()
}
