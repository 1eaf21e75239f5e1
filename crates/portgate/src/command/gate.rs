use std::path::PathBuf;
use std::time::Duration;

use portgate_core::status::Placement;
use portgate_docker::gate::state_path;
use portgate_gate::paths::{CONTAINER_SOCKET, ProcessPaths};
use portgate_gate::{Limits, Settings, client};
use tracing_subscriber::filter::LevelFilter;

use crate::args::GateCommand;
use crate::demo_node;
use crate::failure::Failure;

/// How long `gate control` waits for the socket of a gate that has just been started.
const PATIENCE: Duration = Duration::from_secs(5);

/// What runs inside a gate.
pub(crate) async fn gate(command: GateCommand) -> Result<(), Failure> {
    match command {
        GateCommand::Run { name, process, demo_node } => {
            tracing_subscriber::fmt()
                .with_max_level(LevelFilter::INFO)
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_target(false)
                .init();
            let gate = portgate_gate::run(settings(name.as_deref().unwrap_or_default(), process));
            match demo_node {
                None => Ok(gate.await?),
                Some(node) => tokio::select! {
                    ended = gate => Ok(ended?),
                    ended = demo_node::serve(node) => ended.map_err(Failure::system("serve the demo's node")),
                },
            }
        }
        GateCommand::Control { socket } => Ok(client::control(&socket, PATIENCE).await?),
        GateCommand::Health { socket } => Ok(client::health(&socket).await?),
        GateCommand::Node { ports } => demo_node::serve(ports).await.map_err(Failure::system("serve the demo's node")),
    }
}

fn settings(name: &str, process: Option<PathBuf>) -> Settings {
    let limits = Limits::default();
    match process.map(|directory| ProcessPaths { directory }) {
        Some(paths) => Settings { placement: Placement::Process, state: paths.state(), socket: paths.socket(), limits },
        None => Settings {
            placement: Placement::Published,
            state: PathBuf::from(state_path(name)),
            socket: PathBuf::from(CONTAINER_SOCKET),
            limits,
        },
    }
}
