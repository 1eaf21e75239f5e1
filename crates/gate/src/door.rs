//! Where the Kubernetes API server of a cluster is found: in the user's kubeconfig, or by that of the cluster's own servers.

use std::net::SocketAddr;

use portgate_core::cluster::{Cluster, ClusterId, Node, Provider, Role};
use portgate_core::forward::ApiAccess;
use portgate_core::port::Port;
use portgate_docker::clusters;
use portgate_docker::engine::{self, Engine};
use portgate_docker::settings::Settings as EngineSettings;
use portgate_docker::{call, file};
use portgate_kube::access::{self, Access, CONTAINER_KUBECONFIGS, ContainerKubeconfig};
use portgate_kube::settings::Settings as KubeSettings;

/// Where the API server is found.
#[derive(Clone, Debug)]
pub enum Door {
    /// In the user's kubeconfig.
    User(KubeSettings),
    /// In the kubeconfig of the cluster's own servers.
    Servers {
        /// The engine that they run on.
        engine: EngineSettings,
        /// The cluster.
        cluster: ClusterId,
        /// The network that its nodes are on.
        network: String,
    },
}

/// An API server that was found.
#[derive(Debug)]
pub struct Entry {
    /// How it is reached.
    pub access: Access,
    /// What is another one for another server, or for other credentials.
    pub(crate) mark: (String, Option<SocketAddr>),
}

/// Why no API server was found.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// A kubeconfig does not lead to one.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The engine cannot be reached.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// The engine did not answer.
    #[error(transparent)]
    Call(#[from] call::Error),
    /// The engine does not know the network.
    #[error(transparent)]
    Cluster(#[from] clusters::Error),
    /// A kubeconfig cannot be read out of its container.
    #[error(transparent)]
    File(#[from] file::Error),
    /// No server runs.
    #[error("no server of cluster {cluster} runs")]
    Stopped {
        /// The cluster's name.
        cluster: String,
    },
    /// The servers have no kubeconfig where their providers put it.
    #[error("{container} has no kubeconfig in {}", CONTAINER_KUBECONFIGS.join(", "))]
    NoKubeconfig {
        /// The container that was looked into.
        container: String,
    },
    /// The server's address leads nowhere from here, and its port is not published.
    #[error("the Kubernetes API server of {container} is not published")]
    NotPublished {
        /// The server's container.
        container: String,
    },
}

impl DoorError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Access(error) => error.hint(),
            Self::Engine(error) => error.hint(),
            Self::Call(error) => error.hint(),
            Self::Cluster(error) => error.hint(),
            Self::File(error) => error.hint(),
            Self::Stopped { .. } => Some("start the cluster; `portgate clusters` shows its nodes".to_owned()),
            Self::NoKubeconfig { .. } | Self::NotPublished { .. } => {
                Some("name a context of your own kubeconfig with `--context`".to_owned())
            }
        }
    }
}

impl Door {
    /// The door that a forward's state names.
    pub fn of(access: &ApiAccess, cluster: &ClusterId, engine: EngineSettings) -> Self {
        match access {
            ApiAccess::Kubeconfig { files, context } => {
                let (kubeconfigs, context) = (files.clone(), Some(context.clone()));
                Self::User(KubeSettings { kubeconfigs, context, ..KubeSettings::default() })
            }
            ApiAccess::Container { network } => {
                Self::Servers { engine, cluster: cluster.clone(), network: network.clone() }
            }
        }
    }

    /// Whether nodes can be reached beside the API server, so that it matters which are ready.
    pub(crate) fn has_nodes(&self) -> bool {
        matches!(self, Self::Servers { .. })
    }

    /// Looks for the API server.
    pub async fn enter(&self) -> Result<Entry, DoorError> {
        match self {
            Self::User(options) => {
                let access = Access::of_user(options)?;
                Ok(Entry { mark: (access.server().to_owned(), None), access })
            }
            Self::Servers { engine, cluster, network } => {
                let engine = Engine::connect(engine).await?;
                let cluster = find(&engine, cluster, network).await?;
                by_servers(&engine, &cluster).await
            }
        }
    }
}

async fn find(engine: &Engine, id: &ClusterId, network: &str) -> Result<Cluster, DoorError> {
    if id.provider == Provider::Network {
        return Ok(engine.cluster_on_network(network).await?);
    }
    let found = engine.clusters().await?.into_iter().find(|cluster| cluster.id == *id);
    found.ok_or_else(|| DoorError::Stopped { cluster: id.name.clone() })
}

/// The first server that has a kubeconfig.
async fn by_servers(engine: &Engine, cluster: &Cluster) -> Result<Entry, DoorError> {
    let mut missing = DoorError::Stopped { cluster: cluster.id.name.clone() };
    for node in cluster.running_nodes().filter(|node| node.role != Role::Agent) {
        for path in CONTAINER_KUBECONFIGS {
            let Some(text) = engine.read_file(&node.name, path).await? else { continue };
            let text = String::from_utf8_lossy(&text).into_owned();
            let kubeconfig = ContainerKubeconfig::read(&node.name, &text)?;
            let address = address(engine, node, kubeconfig.port()).await?;
            return Ok(Entry { access: Access::of_container(kubeconfig, address), mark: (text, Some(address)) });
        }
        missing = DoorError::NoKubeconfig { container: node.name.clone() };
    }
    Err(missing)
}

/// The node's own address, where containers can be reached by theirs; else where its API port is published.
async fn address(engine: &Engine, node: &Node, port: Port) -> Result<SocketAddr, DoorError> {
    let reachable = engine.endpoint().is_local() && engine.info().await?.why_not_host().is_none();
    if let Some(address) = node.address.filter(|_| reachable) {
        return Ok(SocketAddr::new(address, port.number()));
    }
    let published = engine.published_api(&node.name, port).await?;
    published.ok_or_else(|| DoorError::NotPublished { container: node.name.clone() })
}
