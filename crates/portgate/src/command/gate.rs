use std::path::PathBuf;
use std::time::Duration;

use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::status::Datapath;
use portgate_docker::engine::Engine;
use portgate_docker::gate::state_path;
use portgate_docker::settings::Settings as EngineSettings;
use portgate_gate::leftovers;
use portgate_gate::paths::{ENGINE_SOCKET, ProcessPaths};
use portgate_gate::worker::{Identity, WorkerSettings};
use portgate_gate::{Ending, HostPlace, Limits, Place, Settings, client};
use tracing_subscriber::filter::LevelFilter;

use crate::args::{GateCommand, PlacementArgument};
use crate::demo_node;
use crate::failure::Failure;
use crate::process_gate;
use crate::view;

/// How long `gate control` waits for the socket of a gate that has just been started.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nobody, in a group that owns nothing: to nobody's own group, 65534, belongs the directory of the state file.
const WORKER: Identity = Identity { uid: 65534, gid: 65533 };

/// What runs inside a gate.
pub(crate) async fn gate(command: GateCommand) -> Result<(), Failure> {
    match command {
        GateCommand::Run { name, process, keep, placement, datapath, network, socket, demo_node } => {
            view::log(LevelFilter::INFO);
            let name = name.unwrap_or_default();
            if let Some(directory) = process {
                let keep = keep.unwrap_or_else(|| directory.clone());
                return run_process(ProcessPaths { directory, keep }, demo_node).await;
            }
            let datapath = datapath.into();
            let place = match placement {
                PlacementArgument::Published => Place::Published(datapath),
                PlacementArgument::Host => host_place(network, datapath),
            };
            let (state, limits) = (PathBuf::from(state_path(&name)), Limits::default());
            let worker = has_rights(&place).then(|| worker_settings(limits.clone()));
            let settings = Settings { place, state, socket, limits, worker };
            match portgate_gate::run(settings).await? {
                Ending::Asked => Ok(()),
                Ending::ClusterDeleted(cluster) => Ok(own_engine().await?.bury(&name, &cluster).await?),
            }
        }
        GateCommand::Worker => worker(),
        GateCommand::Sweep { cluster_provider, cluster_name, bridge, gate, run } => {
            let provider = Provider::from_name(&cluster_provider).ok_or(Failure::NoCluster)?;
            let cluster = ClusterId { provider, name: cluster_name };
            if let Some(gate) = gate {
                let engine = own_engine().await?;
                engine.remove(&gate, true).await?;
                engine.remove_volumes_of(&cluster).await?;
            }
            Ok(leftovers::remove(&cluster, bridge.as_deref(), &run)?)
        }
        GateCommand::Control { socket } => Ok(client::control(&socket, PATIENCE).await?),
        GateCommand::Health { socket } => Ok(client::health(&socket).await?),
        GateCommand::Node { ports } => demo_node::serve(ports).await.map_err(Failure::system("serve the demo's node")),
    }
}

/// A gate's worker. It has to be the only thread of its process.
pub(crate) fn worker() -> Result<(), Failure> {
    view::log(LevelFilter::INFO);
    Ok(portgate_gate::worker::work()?)
}

async fn run_process(paths: ProcessPaths, node: Option<demo_node::Ports>) -> Result<(), Failure> {
    let gate = portgate_gate::run(process_gate::settings(&paths));
    match node {
        None => gate.await?,
        Some(node) => tokio::select! {
            ended = gate => ended?,
            ended = demo_node::serve(node) => return ended.map_err(Failure::system("serve the demo's node")),
        },
    };
    Ok(())
}

fn host_place(network: Option<String>, datapath: Datapath) -> Place {
    let network = network.unwrap_or_default();
    Place::Host(HostPlace { network, engine: PathBuf::from(ENGINE_SOCKET), datapath })
}

/// Whether the gate's process has rights, so that another one has to touch traffic.
fn has_rights(place: &Place) -> bool {
    match place {
        Place::Host(_) | Place::Published(Datapath::Kernel) => true,
        Place::Published(Datapath::Relay) | Place::Process(_) => false,
    }
}

fn worker_settings(limits: Limits) -> WorkerSettings {
    let arguments = ["gate", "worker"].map(str::to_owned).to_vec();
    WorkerSettings { program: PathBuf::from("/proc/self/exe"), arguments, identity: Some(WORKER), limits }
}

/// The engine whose socket is mounted in this container.
async fn own_engine() -> Result<Engine, Failure> {
    let endpoint = format!("unix://{ENGINE_SOCKET}");
    let settings = EngineSettings::from_variables(|variable| (variable == "DOCKER_HOST").then(|| endpoint.clone()));
    Ok(Engine::connect(&settings).await?)
}
