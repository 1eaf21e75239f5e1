//! portgate: its commands on one network, and the gate that they make there.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::mapping::Local;
use portgate_core::status::{Counters, Datapath, Placement, RelayReason};
use serde::Deserialize;

use crate::docker::docker;
use crate::path::Route;
use crate::process::{self, Footprint};

/// How long a gate may take until its bytes travel as they are to.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What stands for arguments that are not given; here all that count are.
const VARIABLES: [&str; 3] = ["PORTGATE_CLUSTER", "PORTGATE_PLACEMENT", "PORTGATE_DATAPATH"];

/// Where a gate is to run, and how its bytes are to travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    /// Where it is to run.
    pub(crate) placement: Placement,
    /// How its bytes are to travel.
    pub(crate) datapath: Datapath,
}

/// Whether `portgate open` is to try the new ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// It returns when they have answered.
    Wait,
    /// It returns when they are open.
    NoWait,
}

/// portgate on one Docker network, which is a cluster of its own to it.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    /// portgate's executable.
    pub(crate) executable: PathBuf,
    /// The network.
    pub(crate) network: String,
    /// Where the gate is to run, and how.
    pub(crate) site: Site,
}

/// What `portgate ls -o json` prints.
#[derive(Deserialize)]
struct Listing {
    items: Vec<Row>,
}

/// What counts here of a row of `portgate ls -o json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Row {
    placement: Placement,
    local: Local,
    datapath: Datapath,
    relay_because: Option<RelayReason>,
    /// What the mapping carried.
    pub(crate) counters: Counters,
}

/// What portgate's cluster on a plain network is called.
pub(crate) fn cluster(network: &str) -> ClusterId {
    ClusterId { provider: Provider::Network, name: network.to_owned() }
}

impl Gate {
    /// Another gate on the same network. The first one must be gone.
    pub(crate) fn at(&self, site: Site) -> Self {
        Self { site, ..self.clone() }
    }

    /// Opens the ports of a route, and makes sure that they travel as they are to.
    pub(crate) async fn carry(&self, route: &Route) -> anyhow::Result<()> {
        let spec = |(service, port): (crate::service::Service, u16)| {
            format!("{port}:{}/{}", service.port(), service.protocol())
        };
        let specs: Vec<String> = route.ports().map(spec).collect();
        self.open(&specs, Test::NoWait).await?;
        self.settle(specs.len()).await
    }

    /// Opens ports, and returns how long that took.
    pub(crate) async fn open(&self, specs: &[String], test: Test) -> anyhow::Result<Duration> {
        let Site { placement, datapath } = self.site;
        let mut arguments = vec!["open", "--placement", placement.name(), "--datapath", datapath.name()];
        if test == Test::NoWait {
            arguments.push("--no-wait");
        }
        arguments.extend(specs.iter().map(String::as_str));
        self.run(&arguments).await.map(|(_, elapsed)| elapsed)
    }

    /// Opens further ports, as is typed where the gate runs already, and returns how long that took.
    pub(crate) async fn open_more(&self, spec: &str, test: Test) -> anyhow::Result<Duration> {
        let arguments: &[&str] = if test == Test::NoWait { &["open", "--no-wait", spec] } else { &["open", spec] };
        self.run(arguments).await.map(|(_, elapsed)| elapsed)
    }

    /// Closes ports, and returns how long that took.
    pub(crate) async fn close(&self, ports: &str) -> anyhow::Result<Duration> {
        self.run(&["close", ports]).await.map(|(_, elapsed)| elapsed)
    }

    /// Lists the ports for people, and returns how long that took.
    pub(crate) async fn list(&self) -> anyhow::Result<Duration> {
        self.run(&["ls"]).await.map(|(_, elapsed)| elapsed)
    }

    /// The open ports.
    pub(crate) async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let (output, _) = self.run(&["ls", "--output", "json"]).await?;
        let listing: Listing =
            serde_json::from_slice(&output.stdout).context("the answer of `portgate ls` is not understood")?;
        Ok(listing.items)
    }

    /// Makes sure that at least so many ports are open, and that all of them travel as they are to.
    pub(crate) async fn prove(&self, ports: usize) -> anyhow::Result<()> {
        let rows = self.rows().await?;
        ensure!(rows.len() >= ports, "only {} of {ports} ports are open", rows.len());
        match deviation(&rows, self.site) {
            Some(deviation) => bail!(deviation),
            None => Ok(()),
        }
    }

    /// As [`Gate::prove`], of a gate that has only just started.
    async fn settle(&self, ports: usize) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match self.prove(ports).await {
                Err(_) if start.elapsed() < PATIENCE => tokio::time::sleep(LOOK).await,
                outcome => return outcome,
            }
        }
    }

    /// What all processes of the gate occupy together.
    pub(crate) async fn footprint(&self) -> anyhow::Result<Footprint> {
        process::footprint(&process::family(self.process().await?)?)
    }

    /// How many descriptors each process of the gate may have at least.
    pub(crate) async fn descriptors(&self) -> anyhow::Result<usize> {
        process::descriptors(&process::family(self.process().await?)?)
    }

    async fn process(&self) -> anyhow::Result<u32> {
        Ok(self.inspect("{{.State.Pid}}").await?.parse()?)
    }

    /// What Docker says of the gate's first container.
    pub(crate) async fn inspect(&self, format: &str) -> anyhow::Result<String> {
        docker(&["inspect", "--format", format, &cluster(&self.network).gate_name()], b"").await
    }

    /// Removes a network's gate, by portgate's own means.
    pub(crate) async fn down(executable: &Path, network: &str) -> anyhow::Result<()> {
        run(executable, network, &["down"]).await.map(drop)
    }

    /// Removes this gate. The network stays.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        Self::down(&self.executable, &self.network).await
    }

    async fn run(&self, arguments: &[&str]) -> anyhow::Result<(Output, Duration)> {
        run(&self.executable, &self.network, arguments).await
    }
}

/// Runs portgate to its end, and returns what it printed and how long that took.
async fn run(executable: &Path, network: &str, arguments: &[&str]) -> anyhow::Result<(Output, Duration)> {
    let what = || format!("`portgate {}`", arguments.join(" "));
    let mut command = tokio::process::Command::new(executable);
    command.args(arguments).args(["--network", network]);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let start = Instant::now();
    let output = command.output().await.with_context(what)?;
    let elapsed = start.elapsed();
    if !output.status.success() {
        bail!("{} failed: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok((output, elapsed))
}

/// What the first port is like that is not as the site says, and why.
fn deviation(rows: &[Row], site: Site) -> Option<String> {
    let row = rows.iter().find(|row| (Site { placement: row.placement, datapath: row.datapath }) != site)?;
    let why = row.relay_because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let Row { placement, local, datapath, .. } = row;
    Some(format!(
        "{local} is carried by the {datapath} in {placement} placement, not by the {} in {} placement{why}",
        site.datapath.name(),
        site.placement,
        datapath = datapath.name(),
    ))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use portgate_core::mapping::HostAddresses;
    use portgate_core::port::{Port, Protocol};

    use super::*;

    const KERNEL: Site = Site { placement: Placement::Host, datapath: Datapath::Kernel };

    fn row(datapath: Datapath, relay_because: Option<RelayReason>) -> Row {
        let addresses = HostAddresses::single(IpAddr::from(Ipv4Addr::LOCALHOST));
        let local = Local { addresses, port: Port::new(8080).unwrap(), protocol: Protocol::Udp };
        Row { placement: Placement::Host, local, datapath, relay_because, counters: Counters::default() }
    }

    #[test]
    fn one_port_that_travels_otherwise_is_told_with_the_reason() {
        let rows = [row(Datapath::Kernel, None), row(Datapath::Relay, Some(RelayReason::NoBridge))];
        assert_eq!(deviation(&rows[..1], KERNEL), None);
        assert_eq!(
            deviation(&rows, KERNEL).unwrap(),
            "127.0.0.1:8080/udp is carried by the relay in host placement, not by the kernel in host placement: \
             the cluster's network has no bridge here"
        );
        let published = Site { placement: Placement::Published, ..KERNEL };
        assert!(deviation(&rows[..1], published).is_some());
    }

    #[test]
    fn rows_are_read_from_what_portgate_prints() {
        let local = serde_json::to_value(row(Datapath::Relay, None).local).unwrap();
        let row = serde_json::json!({
            "cluster": { "provider": "network", "name": "n" }, "gate": "n-portgate", "placement": "host",
            "local": local, "datapath": "relay", "relay_because": { "reason": "asked" }, "state": "open",
            "counters": { "connections_open": 3 },
        });
        let listing: Listing = serde_json::from_value(serde_json::json!({ "items": [row] })).unwrap();
        let row = &listing.items[0];
        assert_eq!((&row.relay_because, row.counters.connections_open), (&Some(RelayReason::Asked), 3));
    }
}
