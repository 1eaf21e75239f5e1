//! What is measured: the paths, ready to be used.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;

use crate::gate::Gate;
use crate::ground::Ground;
use crate::load;
use crate::path::{Path, Route};
use crate::peer::Peer;
use crate::ports::Ports;
use crate::process::{Process, wait_until};
use crate::server::Meter;
use crate::service::Service;

/// How long a path may take until it works.
const PATIENCE: Duration = Duration::from_secs(10);

/// The paths of one run.
pub(crate) struct Bed {
    /// What the node has received.
    pub(crate) meter: Meter,
    /// The paths that work.
    pub(crate) routes: BTreeMap<Path, Route>,
    gates: BTreeMap<Path, Gate>,
    // They end with this.
    processes: Vec<Process>,
}

impl Bed {
    /// Makes the paths. A peer that cannot be had is left out, and said so.
    pub(crate) async fn make(ground: &Ground, node: IpAddr, ports: &mut Ports, paths: &[Path]) -> anyhow::Result<Self> {
        let meter = Meter::connect(node).await?;
        let mut bed = Self { meter, routes: BTreeMap::new(), gates: BTreeMap::new(), processes: Vec::new() };
        for &path in paths {
            let route = if path == Path::Straight { Route::straight(node) } else { ports.route(path)? };
            match bed.add(ground, node, path, route).await {
                Ok(()) => {}
                Err(error) if path.is_ours() || path == Path::Straight => {
                    return Err(error.context(format!("cannot make the path {}", path.word())));
                }
                Err(error) => eprintln!("SKIPPED: {}: {error:#}", path.title()),
            }
        }
        Ok(bed)
    }

    async fn add(&mut self, ground: &Ground, node: IpAddr, path: Path, route: Route) -> anyhow::Result<()> {
        let on_host = |peer| ground.peers.on_host(peer, ground.directory(), node, &route);
        let (network, name) = (ground.network(), ground.node());
        let published = |peer| ground.peers.published(peer, &network, &name, &route);
        match path {
            Path::Straight => {}
            Path::Kernel | Path::Relay | Path::PublishedKernel | Path::Published => {
                let site = path.site().context("this path is portgate's")?;
                let gate = ground.gate(path.word(), site).await?;
                gate.carry(&route).await?;
                self.gates.insert(path, gate);
            }
            Path::Haproxy => self.processes.push(on_host(Peer::Haproxy)?),
            Path::Nginx => self.processes.push(on_host(Peer::Nginx)?),
            Path::PublishedNginx => published(Peer::Nginx).await?,
            Path::PublishedHaproxy => published(Peer::Haproxy).await?,
            Path::PublishedSocat => published(Peer::Socat).await?,
        }
        let http = route.to(Service::Http).context("no path is without HTTP")?;
        let echo = route.to(Service::Echo);
        wait_until(path.title(), PATIENCE, async || Ok(load::answers(http, echo).await)).await?;
        self.routes.insert(path, route);
        Ok(())
    }

    /// Makes sure that what goes by portgate's paths still travels as each of them claims.
    pub(crate) async fn prove(&self) -> anyhow::Result<()> {
        for (path, gate) in &self.gates {
            let ports = self.routes.get(path).map_or(0, |route| route.ports().count());
            gate.prove(ports).await.with_context(|| format!("the path {} is not what it claims", path.word()))?;
        }
        Ok(())
    }
}
