use crate::args::ClusterArguments;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate, Gates};
use crate::process_gate;
use crate::view::{self, Progress};

/// Starts a cluster's gates, with the mappings that they had, and waits until they listen.
pub(crate) async fn start(arguments: &ClusterArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(arguments).await?;
    let _progress = Progress::start("Starting");
    check_states(&gates).await?;
    for gate in &gates.list {
        match (gate, &gates.engine) {
            (Gate::Container(container), Some(engine)) => engine.start(&container.name).await?,
            (Gate::Container(_), None) => return Err(Failure::NoCluster),
            (Gate::Process { paths, .. }, _) => process_gate::ensure(paths).await?,
        }
        let status = Control::connect(gates.engine.as_ref(), gate).await?.status().await?;
        view::note(format!("{} is started, with {}", gate.name(), view::count(status.mappings.len(), "port")));
    }
    Ok(())
}

/// A gate whose state file is damaged would end as soon as it is started.
async fn check_states(gates: &Gates) -> Result<(), Failure> {
    for gate in &gates.list {
        if let (Gate::Container(container), Some(engine)) = (gate, &gates.engine) {
            engine.read_state(&container.name).await?;
        }
    }
    Ok(())
}
