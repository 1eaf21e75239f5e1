//! The arguments that several commands share: which cluster, which image, where, how, and how to print.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use portgate_core::status::{Datapath, Placement};

#[derive(Debug, Args)]
pub(crate) struct ImageArguments {
    /// The gate's image, instead of one that is made from this executable
    #[arg(long, value_name = "REF")]
    pub(crate) image: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ClusterArguments {
    /// The cluster; needed where several could be meant
    #[arg(short, long, value_name = "NAME", env = "PORTGATE_CLUSTER")]
    pub(crate) cluster: Option<String>,
    /// A Docker network instead of a cluster; every running container on it is a node
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
}

impl ClusterArguments {
    /// The cluster's name; an empty one, as an empty variable makes it, is none.
    pub(crate) fn name(&self) -> Option<&str> {
        self.cluster.as_deref().filter(|name| !name.is_empty())
    }
}

/// Which Kubernetes API server is asked about Services and pods.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ApiArguments {
    /// The namespace of Services, pods and workloads that name none [default: the context's; of lists, all]
    #[arg(short, long, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// The context of the kubeconfig [default: the cluster's own, as k3d-mycluster; of `forward`, the current one]
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// The kubeconfig, instead of those that kubectl would use
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct OutputArguments {
    /// How to print
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    Table,
    /// More columns
    Wide,
    /// One JSON document
    Json,
    /// One YAML document
    Yaml,
    /// Names only, a line each
    Name,
}

/// Where a gate's container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PlacementArgument {
    /// In the host's network: ports come and go live, and the kernel carries them
    Host,
    /// On the cluster's network, with ports that Docker publishes
    Published,
}

impl From<PlacementArgument> for Placement {
    fn from(argument: PlacementArgument) -> Self {
        match argument {
            PlacementArgument::Host => Self::Host,
            PlacementArgument::Published => Self::Published,
        }
    }
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DatapathArgument {
    /// Through nftables, wherever they can; the relay carries the rest
    Kernel,
    /// Through the gate's userspace, all of them
    Relay,
}

impl From<DatapathArgument> for Datapath {
    fn from(argument: DatapathArgument) -> Self {
        match argument {
            DatapathArgument::Kernel => Self::Kernel,
            DatapathArgument::Relay => Self::Relay,
        }
    }
}

/// How the far end of a port is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ViaArgument {
    /// Over the cluster's network, by a gate in a container
    Network,
    /// Through the Kubernetes API server, by a process, as `portgate forward --detach`; TCP only
    Api,
}
