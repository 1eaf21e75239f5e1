//! The cluster of one run: made, and removed whatever happened.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path as FilePath, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::image::GateImage;
use portgate_docker::settings::Settings;
use tempfile::TempDir;

use crate::args::BenchArguments;
use crate::docker::docker;
use crate::gate::Portgate;
use crate::peer::Peers;

/// What everything of this run is named after, and kept in.
pub(crate) struct Ground {
    engine: Engine,
    /// What is known of the engine.
    pub(crate) info: EngineInfo,
    /// portgate, on this run's cluster.
    pub(crate) portgate: Portgate,
    /// The other proxies.
    pub(crate) peers: Peers,
    directory: TempDir,
}

impl Ground {
    /// Finds the engine and the programs. Nothing is made yet, but for a directory for temporary files.
    pub(crate) async fn find(arguments: &BenchArguments) -> anyhow::Result<Self> {
        let executable = match &arguments.portgate {
            Some(path) => path.clone(),
            None => own_executable()?.with_file_name("portgate"),
        };
        ensure!(executable.is_file(), "there is no {}\nhint: `cargo xtask bench` builds it", executable.display());
        let engine = Engine::connect(&Settings::from_variables(|name| std::env::var(name).ok())).await?;
        let info = engine.info().await?;
        ensure!(info.local, "the Docker engine is on another machine, and traffic is not to leave this one");
        let cluster = format!("pgbench-{}", std::process::id());
        let directory =
            tempfile::Builder::new().prefix("portgate-bench-").tempdir().context("cannot make a directory")?;
        let peers = Peers { unpacked: arguments.peers.clone(), cluster: cluster.clone() };
        Ok(Self { engine, info, portgate: Portgate { executable, cluster }, peers, directory })
    }

    /// The name of the cluster, and of what belongs to it.
    pub(crate) fn name(&self) -> &str {
        &self.portgate.cluster
    }

    /// The cluster's network.
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
        let address = cluster.running_nodes().find_map(|node| node.address);
        address.context("the node has no address")
    }

    /// Removes all that was made. It goes on after a failure, and returns all failures.
    pub(crate) async fn clear(&self) -> Vec<anyhow::Error> {
        let id = self.portgate.id();
        let mut failures: Vec<anyhow::Error> = Vec::new();
        match self.engine.gates(Some(&id)).await {
            Ok(gates) => {
                for gate in gates {
                    failures.extend(self.engine.remove(&gate.name, true).await.err().map(Into::into));
                }
            }
            Err(error) => failures.push(error.into()),
        }
        failures.extend(self.engine.remove_volume(&id.gate_name()).await.err().map(Into::into));
        failures.extend(self.engine.remove_demo(self.name()).await.err().into_iter().flatten().map(Into::into));
        failures.extend(self.remove_images().await.err());
        failures
    }

    async fn remove_images(&self) -> anyhow::Result<()> {
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
