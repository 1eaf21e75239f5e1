use crate::args::ClusterArguments;
use crate::failure::Failure;
use crate::gates;
use crate::interrupt::Interrupt;
use crate::removal;
use crate::view::{self, Progress};

/// Removes a cluster's gates, and their volume. Nothing to remove is no error.
pub(crate) async fn down(arguments: ClusterArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let found = async { gates::find().await?.of_cluster(&arguments).await };
    match interrupt.abandon(found).await {
        Ok((cluster, gates)) => {
            let _progress = Progress::start("Removing");
            removal::remove(&cluster, &gates).await
        }
        // A gate that was removed by other hands has left its volume.
        Err(Failure::NothingOpen { .. }) => {
            let removed = interrupt.abandon(removal::remove_volumes(&arguments)).await?;
            if removed == 0 {
                view::note("There is nothing to remove.");
            }
            Ok(())
        }
        Err(failure) => Err(failure),
    }
}
