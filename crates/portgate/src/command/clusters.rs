use crate::args::ClustersArguments;
use crate::choice;
use crate::failure::Failure;
use crate::view;

/// Prints the local clusters and their nodes, and the containers that are not believed to be what they say.
pub(crate) async fn clusters(arguments: ClustersArguments) -> Result<(), Failure> {
    let survey = choice::engine().await?.survey().await?;
    if survey.clusters.is_empty() {
        view::note("There is no k3d, kind or minikube cluster. `--network NAME` takes any Docker network.");
    }
    view::print_clusters(arguments.output.output, &survey)
}
