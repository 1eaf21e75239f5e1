//! Removing gates, and what they leave.

use portgate_core::cluster::ClusterId;
use portgate_core::control::Request;

use crate::apply::volume;
use crate::args::ClusterArguments;
use crate::choice;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate, Gates};
use crate::process_gate;
use crate::view;

/// Removes all gates of a cluster, and their volume. Goes on after a failure, and returns the first.
pub(crate) async fn remove(cluster: &ClusterId, gates: &Gates) -> Result<(), Failure> {
    let mut first_failure = None;
    for gate in &gates.list {
        match remove_gate(gates, gate).await {
            Ok(()) => view::note(format!("{} is removed", gate.name())),
            Err(failure) => first_failure = first_failure.or(Some(failure)),
        }
    }
    if let (Some(engine), None) = (&gates.engine, &first_failure) {
        engine.remove_volume(&volume(cluster)).await?;
    }
    first_failure.map_or(Ok(()), Err)
}

/// Removes the volumes whose gates are gone, of the cluster that was named, or of all. Returns how many there were.
pub(crate) async fn remove_volumes(arguments: &ClusterArguments) -> Result<usize, Failure> {
    let engine = choice::engine().await?;
    let mut orphans = engine.clusters_with_volume().await?;
    let gates = engine.gates(None).await?;
    orphans.retain(|id| {
        let meant = arguments.name().is_none_or(|name| gates::is_called(id, name));
        meant && arguments.network.is_none() && !gates.iter().any(|gate| gate.cluster == *id)
    });
    for id in &orphans {
        engine.remove_volume(&volume(id)).await?;
        view::note(format!("volume {} is removed", volume(id)));
    }
    Ok(orphans.len())
}

async fn remove_gate(gates: &Gates, gate: &Gate) -> Result<(), Failure> {
    match (gate, &gates.engine) {
        (Gate::Container(container), Some(engine)) => Ok(engine.remove(&container.name, true).await?),
        (Gate::Container(_), None) => Err(Failure::NoCluster),
        (Gate::Process { paths, .. }, engine) => {
            // One that does not answer is dead, and leaves only its files.
            if let Ok(mut control) = Control::connect(engine.as_ref(), gate).await {
                control.request(&Request::Stop).await?;
            }
            process_gate::forget(paths)
        }
    }
}
