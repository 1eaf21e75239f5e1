//! Bringing a fault about, and ending the state that it brought about.
//!
//! Each file has one family of faults. What the commands on the way are to do is checked here; what traffic is to do,
//! [`crate::model`] says.

mod cluster;
mod engine;
mod forward;
mod gate;
mod kernel;
mod ports;
mod volume;

use std::time::Instant;

use crate::fault::{Fault, NodeFault, Subject};
use crate::world::World;

/// Why a fault is not what it should be: a command, or the gate's answer to it.
pub(crate) type Outcome = anyhow::Result<Instant>;

/// Does it. Returns when the state that it brought about was over.
pub(crate) async fn act(world: &mut World, fault: Fault) -> Outcome {
    match fault {
        Fault::KillWorker => gate::kill_worker(&world.host).await,
        Fault::KillGate(Subject::Forward) => forward::kill(&world.forward).await,
        Fault::ReplacePod { lasts } => forward::replace_pod(&mut world.forward, lasts).await,
        Fault::RestartApi { lasts } => forward::restart_api(&world.forward, lasts).await,
        Fault::BreakApiConnections => forward::break_connections(&world.forward).await,
        Fault::TakePort(Subject::Forward) => ports::take_forwarded(&world.forward).await,
        Fault::OpenAndClose(Subject::Forward) => ports::forward_and_close(&world.forward).await,
        Fault::EngineAway { absence, lasts, starts } => engine::away(world, absence, lasts, starts).await,
        Fault::DeleteTables => kernel::delete_tables(&world.host).await,
        Fault::LoopbackOff => kernel::loopback_off(&world.host).await,
        Fault::DeleteFlows => kernel::delete_flows(&world.host),
        Fault::ExhaustDescriptors { connections, lasts } => {
            gate::exhaust_descriptors(&world.host, connections, lasts).await
        }
        Fault::TakePortOfStopped => ports::take_of_stopped(&world.host).await,
        _ => of_cluster(world, fault).await,
    }
}

/// The faults that either cluster can have.
async fn of_cluster(world: &World, fault: Fault) -> Outcome {
    let cluster = world.cluster(fault.subject()).ok_or_else(|| anyhow::anyhow!("a forward has no {fault}"))?;
    match fault {
        Fault::KillGate(_) => gate::kill(cluster).await,
        Fault::StopByKill(_) => gate::stop_by_kill(cluster).await,
        Fault::Volume { damage, .. } => volume::damage(cluster, damage).await,
        Fault::TakePort(_) => ports::take(cluster).await,
        Fault::TwoCommands(_) => ports::two_commands(cluster).await,
        Fault::ClusterAnew(_) => cluster::make_again(cluster).await,
        Fault::Node { fault, node, lasts, .. } => match fault {
            NodeFault::Pause => cluster::pause(cluster, node, lasts).await,
            NodeFault::Move => cluster::move_away(cluster, node).await,
            NodeFault::Rename => cluster::rename(cluster, node, lasts).await,
            NodeFault::Disconnect => cluster::disconnect(cluster, node, lasts).await,
            NodeFault::Remove => cluster::remove(cluster, node, lasts).await,
        },
        _ => ports::open_and_close(cluster).await,
    }
}
