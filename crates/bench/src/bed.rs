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
    /// The node's address.
    pub(crate) node: IpAddr,
    /// What the node has received.
    pub(crate) meter: Meter,
    /// The paths that work.
    pub(crate) routes: BTreeMap<Path, Route>,
    /// Ports that are still free.
    pub(crate) ports: Ports,
    // They end with this.
    gate: Option<Gate>,
    processes: Vec<Process>,
}

impl Bed {
    /// Makes the cluster and the paths. A peer that cannot be had is left out, and said so.
    pub(crate) async fn make(ground: &Ground, paths: &[Path]) -> anyhow::Result<Self> {
        let node = ground.make_cluster().await?;
        wait_until("the node serves", PATIENCE, async || Ok(Meter::connect(node).await.is_ok())).await?;
        let meter = Meter::connect(node).await?;
        let mut bed =
            Self { node, meter, routes: BTreeMap::new(), ports: Ports::new(), gate: None, processes: Vec::new() };
        for &path in paths {
            match bed.add(ground, path).await {
                Ok(()) => {}
                Err(error) if path.is_ours() || path == Path::Straight => {
                    return Err(error.context(format!("cannot make the path {}", path.word())));
                }
                Err(error) => eprintln!("SKIPPED: {}: {error:#}", path.title()),
            }
        }
        Ok(bed)
    }

    async fn add(&mut self, ground: &Ground, path: Path) -> anyhow::Result<()> {
        let route = if path == Path::Straight { Route::straight(self.node) } else { self.ports.route(path)? };
        let (network, node) = (ground.network(), ground.node());
        let on_host = |peer| ground.peers.on_host(peer, ground.directory(), self.node, &route);
        let published = |peer| ground.peers.published(peer, &network, &node, &route);
        match path {
            Path::Straight => {}
            Path::Relay => {
                let directory = ground.directory().join("relay");
                self.gate = Some(Gate::start(&ground.portgate, &directory, self.node, &route).await?);
            }
            Path::Haproxy => self.processes.push(on_host(Peer::Haproxy)?),
            Path::Nginx => self.processes.push(on_host(Peer::Nginx)?),
            Path::Published => ground.portgate.publish(&route).await?,
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
}
