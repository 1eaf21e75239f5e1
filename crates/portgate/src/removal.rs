//! Removing gates, and what they leave.

use portgate_core::cluster::ClusterId;
use portgate_core::control::Request;

use crate::apply::volume;
use crate::failure::Failure;
use crate::gates::{Control, Gate, Gates};
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
