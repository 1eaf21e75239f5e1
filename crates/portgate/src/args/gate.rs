//! What can be typed after `portgate gate`; a gate's containers type it.

use std::path::PathBuf;

use clap::Subcommand;
use portgate_gate::paths::{CONTAINER_SOCKET, SOCKET_VARIABLE};

use super::{DatapathArgument, PlacementArgument};
use crate::demo_node::Ports;

#[derive(Debug, Subcommand)]
pub(crate) enum GateCommand {
    /// Carry mappings until SIGTERM
    Run {
        /// As the gate in the container of this name
        #[arg(long, required_unless_present = "process")]
        name: Option<String>,
        /// As a plain process, with its files in this directory
        #[arg(long, value_name = "DIRECTORY", conflicts_with = "name")]
        process: Option<PathBuf>,
        /// The directory of that process's state
        #[arg(long, value_name = "DIRECTORY", requires = "process")]
        keep: Option<PathBuf>,
        /// Where that container runs
        #[arg(long, value_name = "PLACEMENT", default_value = "published")]
        placement: PlacementArgument,
        /// How bytes are to travel
        #[arg(long, value_name = "DATAPATH", default_value = "relay")]
        datapath: DatapathArgument,
        /// The cluster's network, in host placement
        #[arg(long, required_if_eq("placement", "host"))]
        network: Option<String>,
        /// The control socket of a container
        #[arg(long, env = SOCKET_VARIABLE, default_value = CONTAINER_SOCKET)]
        socket: PathBuf,
        /// Serve a demo's node as well
        #[arg(long, requires = "process")]
        demo_node: Option<Ports>,
    },
    /// Relay bytes for a gate, whose socket is standard input
    Worker,
    /// Remove what a gate in host placement left on the host
    Sweep {
        #[arg(long)]
        cluster_provider: String,
        #[arg(long)]
        cluster_name: String,
        /// The interface of the cluster's network, if it is still there
        #[arg(long)]
        bridge: Option<String>,
        /// The gate, if its container is to go first, and its cluster's volume
        #[arg(long)]
        gate: Option<String>,
        /// Where the host's /run is
        #[arg(long)]
        run: PathBuf,
    },
    /// Join standard input and output with the control socket
    Control {
        #[arg(long, env = SOCKET_VARIABLE, default_value = CONTAINER_SOCKET)]
        socket: PathBuf,
    },
    /// Succeed if the gate answers
    Health {
        #[arg(long, env = SOCKET_VARIABLE, default_value = CONTAINER_SOCKET)]
        socket: PathBuf,
    },
    /// Serve echo (TCP and UDP) and HTTP, as the node of a demo
    Node { ports: Ports },
}
