//! Removing gates, and what they leave.

use futures_util::future::join_all;
use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::control::Request;
use portgate_core::status::Placement;
use portgate_docker::engine::Engine;
use portgate_docker::gate::GateVolume;

use crate::apply::GRACE;
use crate::args::ClusterArguments;
use crate::choice;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate, Gates};
use crate::leftovers;
use crate::process_gate;
use crate::view;

/// Removes all gates of a cluster, and then their volume. The failure of one gate does not keep the others.
pub(crate) async fn remove(cluster: &ClusterId, gates: &Gates) -> Result<(), Failure> {
    let removals = join_all(gates.list.iter().map(|gate| remove_gate(gates, gate))).await;
    removals.into_iter().collect::<Result<(), Failure>>()?;
    match &gates.engine {
        Some(engine) => Ok(engine.remove_volumes_of(cluster).await?),
        None => Ok(()),
    }
}

/// Removes the volumes whose gates are gone, of the cluster or network that was named, or of all. Returns how many there were.
pub(crate) async fn remove_volumes(arguments: &ClusterArguments) -> Result<usize, Failure> {
    let engine = choice::engine().await?;
    let mut orphans = engine.gate_volumes().await?;
    let gates = engine.gates(None).await?;
    orphans.retain(|GateVolume { cluster: id, .. }| {
        let meant = match &arguments.network {
            Some(network) => id.provider == Provider::Network && id.name == *network,
            None => arguments.name().is_none_or(|name| gates::is_called(id, name)),
        };
        meant && !gates.iter().any(|gate| gate.cluster == *id)
    });
    for GateVolume { cluster: id, name } in &orphans {
        if leftovers::exist(id) {
            leftovers::sweep_orphan(&engine, id).await?;
        }
        engine.remove_volume(name).await?;
        view::note(format!("volume {name} is removed"));
    }
    Ok(orphans.len())
}

async fn retire(engine: &Engine, gate: &Gate) -> Result<(), Failure> {
    let mut control = Control::connect(Some(engine), gate).await?;
    let revision = control.status().await?.revision;
    control.request(&Request::Retire { revision }).await.map(drop)
}

async fn remove_gate(gates: &Gates, gate: &Gate) -> Result<(), Failure> {
    match (gate, &gates.engine) {
        (Gate::Container(container), Some(engine)) => {
            let in_host = gate.placement() == Placement::Host;
            if in_host {
                // It takes its rules out of the kernel. What a gate leaves that does not answer is swept up.
                if retire(engine, gate).await.is_ok() {
                    engine.stop(&container.name, GRACE).await?;
                }
            }
            engine.remove(&container.name, true).await?;
            if in_host {
                leftovers::sweep(engine, &container.cluster, &container.network, &container.image_id).await?;
            }
        }
        (Gate::Container(_), None) => return Err(Failure::NoCluster),
        (Gate::Process { paths, .. }, _) => process_gate::end(paths).await?,
    }
    view::note(format!("{} is removed", gate.name()));
    Ok(())
}
