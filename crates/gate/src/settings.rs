//! What a gate needs to know to start.

use std::path::PathBuf;

use portgate_core::status::{Datapath, Placement};
use portgate_docker::settings::Settings as EngineSettings;
use portgate_relay::Limits;

use crate::worker::WorkerSettings;

/// What a gate needs to know to start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it runs.
    pub place: Place,
    /// Its state file.
    pub state: PathBuf,
    /// Its control socket.
    pub socket: PathBuf,
    /// The relay's limits.
    pub limits: Limits,
    /// The process that relays. Without one it is the gate's own, which must have no right then that traffic could abuse.
    pub worker: Option<WorkerSettings>,
}

/// Where a gate runs, and what it needs there.
#[derive(Clone, Debug)]
pub enum Place {
    /// As a plain process.
    Process(ProcessPlace),
    /// In a container on the cluster's network, whose names Docker's DNS resolves. The kernel path needs `NET_ADMIN`.
    Published(Datapath),
    /// In a container in the host's network.
    Host(HostPlace),
}

/// What a gate needs as a plain process.
#[derive(Clone, Debug)]
pub struct ProcessPlace {
    /// The Docker engine, for a forward that finds the API server by the cluster's own servers.
    pub engine: EngineSettings,
}

/// What a gate needs in the host's network.
#[derive(Clone, Debug)]
pub struct HostPlace {
    /// The cluster's network.
    pub network: String,
    /// The engine's socket, as the container sees it.
    pub engine: PathBuf,
    /// How bytes are to travel. The kernel path needs `NET_ADMIN`.
    pub datapath: Datapath,
}

impl HostPlace {
    /// The engine, as its socket in the container names it.
    pub(crate) fn engine_settings(&self) -> EngineSettings {
        let endpoint = format!("unix://{}", self.engine.display());
        EngineSettings::from_variables(|name| (name == "DOCKER_HOST").then(|| endpoint.clone()))
    }
}

impl Place {
    /// The name of it.
    pub fn placement(&self) -> Placement {
        match self {
            Self::Process(_) => Placement::Process,
            Self::Published(_) => Placement::Published,
            Self::Host(_) => Placement::Host,
        }
    }
}
