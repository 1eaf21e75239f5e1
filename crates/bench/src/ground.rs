//! The cluster of one run: made, and removed whatever happened.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::image::GateImage;
use portgate_docker::labels;
use portgate_docker::settings::Settings;
use tempfile::TempDir;

use crate::args::BenchArguments;
use crate::docker::docker;
use crate::gate::{Gate, Site, cluster};
use crate::peer::Peers;
use crate::process::wait_until;
use crate::server::Meter;

/// How long the node may take until it serves.
const PATIENCE: Duration = Duration::from_secs(10);

/// What everything of this run is named after, and kept in.
pub(crate) struct Ground {
    engine: Engine,
    /// What is known of the engine.
    pub(crate) info: EngineInfo,
    /// portgate's executable.
    pub(crate) portgate: PathBuf,
    /// The other proxies.
    pub(crate) peers: Peers,
    name: String,
    directory: TempDir,
    /// The gates' image, if the engine did not have it before.
    gate_image: Option<String>,
}

impl Ground {
    /// Finds the engine and the programs. Nothing is made yet, but for a directory for temporary files.
    pub(crate) async fn find(arguments: &BenchArguments) -> anyhow::Result<Self> {
        let portgate = match &arguments.portgate {
            Some(path) => path.clone(),
            None => own_executable()?.with_file_name("portgate"),
        };
        ensure!(portgate.is_file(), "there is no {}\nhint: `cargo xtask bench` builds it", portgate.display());
        let engine = Engine::connect(&Settings::from_variables(|name| std::env::var(name).ok())).await?;
        let info = engine.info().await?;
        ensure!(info.local, "the Docker engine is on another machine, and traffic is not to leave this one");
        let name = format!("pgbench-{}", std::process::id());
        let directory =
            tempfile::Builder::new().prefix("portgate-bench-").tempdir().context("cannot make a directory")?;
        let peers = Peers { unpacked: arguments.peers.clone(), cluster: name.clone() };
        let image = GateImage::of(&portgate, env!("CARGO_PKG_VERSION"), &info.architecture)?;
        let is_new = engine.require_image(image.reference()).await.is_err();
        let gate_image = is_new.then(|| image.reference().to_owned());
        Ok(Self { engine, info, portgate, peers, name, directory, gate_image })
    }

    /// The name of the cluster, and of what belongs to it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The cluster's network, by which the node is reached straight and through the other proxies.
    pub(crate) fn network(&self) -> String {
        format!("k3d-{}", self.name())
    }

    /// The one node.
    pub(crate) fn node(&self) -> String {
        format!("k3d-{}-server-0", self.name())
    }

    /// For files of this run.
    pub(crate) fn directory(&self) -> &FilePath {
        self.directory.path()
    }

    /// Makes the network and the node, which runs this very executable, and returns the node's address.
    pub(crate) async fn make_cluster(&self) -> anyhow::Result<IpAddr> {
        let (name, network) = (self.name(), self.network());
        let image = GateImage::in_repository(name, &own_executable()?, name, &self.info.architecture)?;
        self.engine.ensure_image(&image).await?;
        self.engine.create_demo_network(name, &network).await?;
        let labels = [("app", "k3d"), ("k3d.cluster", name), ("k3d.cluster.network", &network), ("k3d.role", "server")];
        let labels: HashMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let command = vec!["serve".to_owned()];
        let image = image.reference().to_owned();
        let node = DemoContainer { name: self.node(), image, command, network: network.clone(), labels };
        self.engine.start_demo_container(name, &node).await?;
        let cluster = self.engine.cluster_on_network(&network).await?;
        let address = cluster.running_nodes().find_map(|node| node.address).context("the node has no address")?;
        wait_until("the node serves", PATIENCE, async || Ok(Meter::connect(address).await.is_ok())).await?;
        Ok(address)
    }

    /// Makes a further network that the node is on, and where a gate may run: a cluster of its own to portgate, for the
    /// gates of one cluster have one site.
    pub(crate) async fn gate(&self, word: &str, site: Site) -> anyhow::Result<Gate> {
        let network = format!("{}-{word}", self.name());
        self.engine.create_demo_network(self.name(), &network).await?;
        docker(&["network", "connect", &network, &self.node()], b"").await?;
        Ok(Gate { executable: self.portgate.clone(), network, site })
    }

    /// Removes all that was made. It goes on after a failure, and returns all failures.
    pub(crate) async fn clear(&self) -> Vec<anyhow::Error> {
        let mut failures: Vec<anyhow::Error> = Vec::new();
        match self.networks().await {
            Ok(networks) => {
                for network in networks {
                    failures.extend(self.clear_network(network).await);
                }
            }
            Err(error) => failures.push(error),
        }
        failures.extend(self.engine.remove_demo(self.name()).await.err().into_iter().flatten().map(Into::into));
        failures.extend(self.remove_images().await.err());
        failures
    }

    async fn networks(&self) -> anyhow::Result<Vec<String>> {
        let ours = format!("label={}={}", labels::DEMO, self.name());
        let listed = docker(&["network", "ls", "--filter", &ours, "--format", "{{.Name}}"], b"").await?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// Removes a network's gates: by portgate's own means, for one on the host has rules in its kernel.
    async fn clear_network(&self, network: String) -> Vec<anyhow::Error> {
        let id = cluster(&network);
        let gates = match self.engine.gates(Some(&id)).await {
            Ok(gates) => gates,
            Err(error) => return vec![error.into()],
        };
        let mut failures: Vec<anyhow::Error> = Vec::new();
        if !gates.is_empty()
            && let Err(error) = Gate::down(&self.portgate, &network).await
        {
            failures.push(error);
            for gate in gates {
                failures.extend(self.engine.remove(&gate.name, true).await.err().map(Into::into));
            }
        }
        failures.extend(self.engine.remove_volume(&id.gate_name()).await.err().map(Into::into));
        failures
    }

    async fn remove_images(&self) -> anyhow::Result<()> {
        if let Some(image) = &self.gate_image {
            // It stays if there is none, or if others have begun to use it.
            let _ = docker(&["rmi", image], b"").await;
        }
        let listed = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}", self.name()], b"").await?;
        let images: Vec<&str> = listed.lines().collect();
        if images.is_empty() {
            return Ok(());
        }
        let removal = [["rmi", "--force"].as_slice(), &images].concat();
        docker(&removal, b"").await.map(drop)
    }
}

fn own_executable() -> anyhow::Result<PathBuf> {
    std::env::current_exe().map_err(|error| anyhow!(error).context("cannot find this executable"))
}
