use portgate_core::control::Request;

use crate::apply::GRACE;
use crate::args::ClusterArguments;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate};
use crate::view::{self, Progress};

/// Stops a cluster's gates. They stay stopped, also after a restart of the machine.
pub(crate) async fn stop(arguments: &ClusterArguments) -> Result<(), Failure> {
    let (_, gates) = gates::find().await?.of_cluster(arguments).await?;
    let _progress = Progress::start("Stopping");
    for gate in &gates.list {
        if let (Gate::Container(container), Some(engine)) = (gate, &gates.engine) {
            engine.stop(&container.name, GRACE).await?;
        } else {
            let mut control = Control::connect(gates.engine.as_ref(), gate).await?;
            control.request(&Request::Stop).await?;
        }
        view::note(format!("{} is stopped", gate.name()));
    }
    Ok(())
}
