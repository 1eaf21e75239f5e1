//! Two clusters with gates, and a forward: made for one run, and removed whatever happened.

pub(crate) mod cli;
pub(crate) mod cluster;
pub(crate) mod docker;
pub(crate) mod forward;
pub(crate) mod leftovers;
mod ports;
pub(crate) mod process;
mod proxy;
mod volume;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use portgate_docker::engine::Engine;
use portgate_docker::image::GateImage;
use portgate_docker::settings::Settings;
use tempfile::TempDir;

use cli::Cli;
use cluster::Cluster;
use docker::docker;
use forward::Forward;
use ports::Ports;
use proxy::Proxy;
use volume::Volume;

use crate::fault::Subject;
use crate::load::Place;

/// How many of a log's lines are shown after a failure.
const LOG_LINES: &str = "15";

/// All that a run has.
pub(crate) struct World {
    pub(crate) host: Cluster,
    pub(crate) published: Cluster,
    pub(crate) forward: Forward,
    pub(crate) proxy: Proxy,
    engine: Engine,
    name: String,
    /// The image of the nodes.
    image: GateImage,
    /// The gates' image, if the engine did not have it before.
    gate_image: Option<String>,
    directory: TempDir,
}

impl World {
    /// Finds the engine and portgate. Of what outlives this process, only file systems for state volumes are made.
    pub(crate) async fn find(portgate: Option<&Path>) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot find this executable")?;
        let portgate = portgate.map_or_else(|| own.with_file_name("portgate"), Path::to_owned);
        ensure!(portgate.is_file(), "there is no {}\nhint: `cargo xtask faults` builds it", portgate.display());
        let variable = |name: &str| std::env::var(name).ok();
        let engine = Engine::connect(&Settings::from_variables(variable)).await?;
        let info = engine.info().await?;
        if let Some(why) = info.why_not_host() {
            return Err(anyhow::Error::new(why).context("the engine has no gates in the host's network"));
        }
        let name = format!("pgfaults-{}", std::process::id());
        let directory =
            tempfile::Builder::new().prefix("portgate-faults-").tempdir().context("cannot make a directory")?;
        let socket = engine.socket_path().context("the engine is not reached through a Unix socket")?;
        let proxy = Proxy::start(socket, directory.path().join("docker.sock"))?;
        let image = GateImage::in_repository(&name, &own, &name, &info.architecture)?;
        let gate_image = GateImage::of(&portgate, env!("CARGO_PKG_VERSION"), &info.architecture)?;
        let is_new = engine.require_image(gate_image.reference()).await.is_err();
        let gate_image = is_new.then(|| gate_image.reference().to_owned());
        let mut ports = Ports::new();
        let mut maker = Maker { name: &name, engine: &engine, portgate: &portgate, image: image.reference() };
        let host = maker.cluster(Subject::Host, &proxy.host(), directory.path(), &mut ports).await?;
        let published = maker.cluster(Subject::Published, &proxy.host(), directory.path(), &mut ports).await;
        let published = match published {
            Ok(published) => published,
            Err(error) => {
                let _ = host.volume.unmount().await;
                return Err(error);
            }
        };
        let home = directory.path().join("home");
        let forward = Forward::find(&portgate, home, ports.take()?, ports.take()?).await?;
        Ok(Self { host, published, forward, proxy, engine, name, image, gate_image, directory })
    }

    /// Makes the clusters, and opens the ports of the load.
    pub(crate) async fn make(&self) -> anyhow::Result<()> {
        self.engine.ensure_image(&self.image).await?;
        for cluster in self.clusters() {
            cluster.make().await?;
        }
        self.forward.make().await
    }

    /// Where the load goes.
    pub(crate) fn places(&self) -> Vec<Place> {
        let clusters = self.clusters().into_iter().flat_map(Cluster::places);
        clusters.chain([self.forward.place()]).collect()
    }

    pub(crate) fn clusters(&self) -> [&Cluster; 2] {
        [&self.host, &self.published]
    }

    /// The cluster of a subject; none of the forward.
    pub(crate) fn cluster(&self, subject: Subject) -> Option<&Cluster> {
        self.clusters().into_iter().find(|cluster| cluster.subject == subject)
    }

    /// What is not as it is to be, of a subject's own view.
    pub(crate) async fn complaint(&self, subject: Subject) -> Option<String> {
        match self.cluster(subject) {
            Some(cluster) => cluster.complaint().await,
            None => self.forward.complaint().await,
        }
    }

    /// The last lines of what a subject's gate said.
    pub(crate) async fn log(&self, subject: Subject) -> String {
        let Some(cluster) = self.cluster(subject) else { return self.forward.log() };
        let command = format!("docker logs --timestamps --tail {LOG_LINES} {} 2>&1", cluster.gate());
        docker::run("sh", &["-c", &command]).await.unwrap_or_else(|error| format!("{error:#}"))
    }

    /// Removes all that was made. It goes on after a failure. Returns what portgate has left, and what failed.
    pub(crate) async fn clear(&self) -> Vec<String> {
        let mut left = Vec::new();
        self.proxy.come_back();
        for cli in [&self.host.cli, &self.published.cli, &self.forward.cli] {
            left.extend(cli.run("down").await.err().map(|error| format!("{error:#}")));
        }
        left.extend(leftovers::of_gates(self).await);
        for cluster in self.clusters() {
            // What is left is told, and goes all the same.
            for gate in self.engine.gates(Some(&cluster.id())).await.unwrap_or_default() {
                let _ = self.engine.remove(&gate.name, true).await;
            }
            let _ = self.engine.remove_volume(&cluster.gate()).await;
        }
        let removed = self.engine.remove_demo(&self.name).await;
        left.extend(removed.err().into_iter().flatten().map(|error| error.to_string()));
        for cluster in self.clusters() {
            left.extend(cluster.volume.unmount().await.err().map(|error| format!("{error:#}")));
        }
        if let Some(image) = &self.gate_image {
            // It stays if others have begun to use it.
            let _ = docker(&["rmi", image]).await;
        }
        left.extend(docker(&["rmi", "--force", self.image.reference()]).await.err().map(|error| format!("{error:#}")));
        left.extend(leftovers::of_run(&self.name, self.directory.path()).await);
        left
    }
}

/// Makes clusters of one run.
struct Maker<'a> {
    name: &'a str,
    engine: &'a Engine,
    portgate: &'a Path,
    image: &'a str,
}

impl Maker<'_> {
    async fn cluster(
        &mut self,
        subject: Subject,
        host: &str,
        directory: &Path,
        ports: &mut Ports,
    ) -> anyhow::Result<Cluster> {
        let name = format!("{}-{subject}", self.name);
        let volume_directory: PathBuf = directory.join(format!("volume-{subject}"));
        let volume = Volume::mount(format!("k3d-{name}-portgate"), name.clone(), volume_directory).await?;
        let environment = vec![
            ("PORTGATE_CLUSTER", name.clone().into()),
            ("DOCKER_HOST", host.into()),
            // The user's own clusters are not concerned.
            ("KUBECONFIG", "/nonexistent".into()),
        ];
        Ok(Cluster {
            subject,
            run: self.name.to_owned(),
            name,
            engine: self.engine.clone(),
            cli: Cli { executable: self.portgate.to_owned(), environment },
            volume,
            image: self.image.to_owned(),
            tcp: ports.take()?,
            udp: ports.take()?,
            spare: [ports.take()?, ports.take()?],
        })
    }
}
