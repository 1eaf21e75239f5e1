//! Removing what a gate in host placement has left on the host.

use std::fs;

use portgate_core::cluster::ClusterId;
use portgate_core::status::Placement;
use portgate_docker::engine::Engine;
use portgate_docker::gate::SweepSpec;
pub(crate) use portgate_gate::leftovers::exist;
use portgate_gate::leftovers::is_directory_idle;
use portgate_gate::paths::HOST_DIRECTORY;

use crate::failure::Failure;
use crate::packed;

/// Removes what a gate has left whose container is gone.
pub(crate) async fn sweep_orphan(engine: &Engine, cluster: &ClusterId) -> Result<(), Failure> {
    let known = engine.clusters().await?.into_iter().find(|known| known.id == *cluster);
    let network = known.map_or_else(|| cluster.name.clone(), |known| known.network);
    let info = engine.info().await?;
    let image = packed::ensure(engine, &info).await?;
    sweep(engine, cluster, &network, &image).await
}

/// Whether no other gate is in host placement: one that starts just now has the directory mounted, and nothing in it yet.
async fn is_last(engine: &Engine) -> Result<bool, Failure> {
    let gates = engine.gates(None).await?;
    Ok(!gates.iter().any(|gate| gate.placement == Some(Placement::Host)))
}

/// Removes what a gate has left that did not end by itself, and the directory of all gates with the last of them.
///
/// This user may not have the right to do it; a container of the gate's image has.
pub(crate) async fn sweep(engine: &Engine, cluster: &ClusterId, network: &str, image: &str) -> Result<(), Failure> {
    if !engine.endpoint().is_local() {
        return Ok(());
    }
    let left =
        exist(cluster) || is_directory_idle() && is_last(engine).await? && fs::remove_dir(HOST_DIRECTORY).is_err();
    if !left {
        return Ok(());
    }
    let bridge = engine.bridge(network).await?;
    let (gate, cluster, image) = (cluster.gate_name(), cluster.clone(), image.to_owned());
    let spec = SweepSpec { gate, cluster, bridge, image, burial: None };
    Ok(engine.sweep(&spec).await?)
}
