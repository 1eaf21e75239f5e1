use crate::args::ClustersArguments;
use crate::choice;
use crate::failure::Failure;
use crate::view;

/// Prints the local clusters and their nodes.
pub(crate) async fn clusters(arguments: ClustersArguments) -> Result<(), Failure> {
    let clusters = choice::engine().await?.clusters().await?;
    if clusters.is_empty() {
        view::note("There is no k3d, kind or minikube cluster. `--network NAME` takes any Docker network.");
    }
    view::print_clusters(arguments.output.output, &clusters)
}
