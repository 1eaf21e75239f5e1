use crate::args::ClusterArguments;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate};
use crate::process_gate;
use crate::view::{self, Progress};

/// Starts a cluster's gates, with the mappings that they had, and waits until they listen.
pub(crate) async fn start(arguments: &ClusterArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(arguments).await?;
    let _progress = Progress::start("Starting");
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
