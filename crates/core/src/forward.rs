//! What a gate must know to carry its mappings through the Kubernetes API server.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How long a new connection waits for a pod that is ready, by default.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The longest that a command or a connection waits for something. More is a mistake, and beyond what clocks reckon with.
pub const LONGEST_PATIENCE: Duration = Duration::from_hours(24);

/// How a forward works: part of its state, so that it is the same after a reboot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Where the API server is found.
    pub access: ApiAccess,
    /// Whether a mapping keeps its pod for as long as that is ready.
    #[serde(default)]
    pub sticky: bool,
    /// How long a new connection waits for a pod that is ready.
    pub patience: Duration,
}

/// Where a Kubernetes API server is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum ApiAccess {
    /// In the user's own kubeconfig.
    Kubeconfig {
        /// The files, the first one first.
        files: Vec<PathBuf>,
        /// The context.
        context: String,
    },
    /// In the kubeconfig of a local cluster's own servers, which the Docker engine reads out of their containers.
    Container {
        /// The network that the cluster's nodes are on.
        network: String,
    },
}
