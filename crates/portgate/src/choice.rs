//! Which cluster is meant.

use portgate_core::cluster::{Cluster, ClusterId};
use portgate_core::suggest;
use portgate_docker::engine::Engine;
use portgate_docker::settings::Settings;

use crate::args::ClusterArguments;
use crate::failure::Failure;

/// Connects to the engine that docker's own CLI would use.
pub(crate) async fn engine() -> Result<Engine, Failure> {
    Ok(Engine::connect(&Settings::from_variables(|name| std::env::var(name).ok())).await?)
}

/// The cluster that was named, or the one that runs.
pub(crate) async fn cluster(engine: &Engine, arguments: &ClusterArguments) -> Result<Cluster, Failure> {
    let Some(network) = &arguments.network else { return choose(engine.clusters().await?, arguments.name()) };
    if NETWORKS_WITHOUT_ADDRESSES.contains(&network.as_str()) {
        return Err(Failure::UnusableNetwork { network: network.clone() });
    }
    // A network of a cluster that is known is that cluster, or it would have two sets of gates with the same names.
    let known = engine.clusters().await?.into_iter().filter(|cluster| cluster.network == *network);
    match known.collect::<Vec<_>>().as_slice() {
        [cluster] => Ok(cluster.clone()),
        _ => Ok(engine.cluster_on_network(network).await?),
    }
}

/// Docker's networks whose containers cannot be reached by an address of their own.
const NETWORKS_WITHOUT_ADDRESSES: [&str; 2] = ["host", "none"];

fn choose(clusters: Vec<Cluster>, name: Option<&str>) -> Result<Cluster, Failure> {
    if let Some(name) = name {
        let known: Vec<ClusterId> = clusters.iter().map(|cluster| cluster.id.clone()).collect();
        let (mut meant, _): (Vec<_>, Vec<_>) = clusters.into_iter().partition(|cluster| is_called(cluster, name));
        return match (meant.pop(), meant.is_empty()) {
            (Some(cluster), true) => Ok(cluster),
            (Some(last), false) => {
                meant.push(last);
                Err(Failure::SeveralClusters { names: meant.iter().map(|cluster| qualified(&cluster.id)).collect() })
            }
            (None, _) => Err(unknown_failure(name, &known)),
        };
    }
    let (mut running, mut stopped): (Vec<_>, Vec<_>) = clusters.into_iter().partition(Cluster::is_running);
    match (running.pop(), running.is_empty()) {
        (Some(cluster), true) => Ok(cluster),
        (Some(last), false) => {
            running.push(last);
            let running: Vec<ClusterId> = running.into_iter().map(|cluster| cluster.id).collect();
            Err(Failure::SeveralClusters { names: names(&running) })
        }
        (None, _) => match (stopped.pop(), stopped.is_empty()) {
            (Some(cluster), true) => Err(stopped_failure(&cluster)),
            _ => Err(Failure::NoCluster),
        },
    }
}

/// The failure that a name is which no cluster has.
pub(crate) fn unknown_failure(name: &str, known: &[ClusterId]) -> Failure {
    let known: Vec<String> = known.iter().map(|id| id.name.clone()).collect();
    let nearest = suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
    Failure::UnknownCluster { name: name.to_owned(), nearest, known }
}

/// The failure that a stopped cluster is.
pub(crate) fn stopped_failure(cluster: &Cluster) -> Failure {
    Failure::ClusterStopped {
        name: cluster.id.name.clone(),
        provider: cluster.id.provider,
        node: cluster.nodes.first().map(|node| node.name.clone()),
    }
}

fn is_called(cluster: &Cluster, name: &str) -> bool {
    cluster.id.name == name || cluster.network == name && !is_shared(cluster) || qualified(&cluster.id) == name
}

/// kind puts all clusters on one network, whose name is that of the first cluster.
fn is_shared(cluster: &Cluster) -> bool {
    cluster.id.provider == portgate_core::cluster::Provider::Kind
}

/// `kind/dev`, for when `k3d/dev` is there too.
fn qualified(cluster: &ClusterId) -> String {
    format!("{}/{}", cluster.provider, cluster.name)
}

/// The names, qualified where two are the same.
pub(crate) fn names(clusters: &[ClusterId]) -> Vec<String> {
    let same = |cluster: &ClusterId| clusters.iter().filter(|other| other.name == cluster.name).count() > 1;
    clusters.iter().map(|cluster| if same(cluster) { qualified(cluster) } else { cluster.name.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use portgate_core::cluster::{ClusterId, Node, NodeState, Provider, Role};

    use super::*;

    fn cluster(provider: Provider, name: &str, state: NodeState) -> Cluster {
        let node = Node { name: format!("{name}-node"), role: Role::Server, state, address: None };
        Cluster {
            id: ClusterId { provider, name: name.to_owned() },
            network: format!("{provider}-{name}"),
            nodes: vec![node],
        }
    }

    fn running(name: &str) -> Cluster {
        cluster(Provider::K3d, name, NodeState::Running)
    }

    fn stopped(name: &str) -> Cluster {
        cluster(Provider::K3d, name, NodeState::Stopped)
    }

    fn chosen(clusters: Vec<Cluster>, name: Option<&str>) -> Result<String, String> {
        let outcome = choose(clusters, name).map(|cluster| cluster.id.name);
        outcome.map_err(|failure| format!("{failure}; {}", failure.hint().unwrap_or_default()))
    }

    #[test]
    fn the_one_running_cluster_is_the_default() {
        assert_eq!(chosen(vec![stopped("a"), running("b")], None), Ok("b".to_owned()));
    }

    #[test]
    fn a_named_cluster_is_taken_even_if_it_is_stopped() {
        assert_eq!(chosen(vec![stopped("a"), running("b")], Some("a")), Ok("a".to_owned()));
        assert_eq!(chosen(vec![running("a"), running("b")], Some("k3d-b")), Ok("b".to_owned()));
    }

    #[test]
    fn several_none_and_unknown_clusters_are_told_apart() {
        let several = chosen(vec![running("a"), cluster(Provider::Kind, "a", NodeState::Running)], None);
        assert_eq!(
            several.unwrap_err(),
            "there are several clusters: k3d/a, kind/a; choose one with `--cluster k3d/a`, or set PORTGATE_CLUSTER"
        );
        assert!(chosen(Vec::new(), None).unwrap_err().starts_with("there is no running cluster"));
        let misspelt = chosen(vec![running("mycluster")], Some("myclsuter"));
        assert_eq!(misspelt.unwrap_err(), "there is no cluster named myclsuter; did you mean mycluster?");
        let stopped = chosen(vec![stopped("a")], None);
        assert_eq!(stopped.unwrap_err(), "cluster a is stopped; start it with `k3d cluster start a`");
        let both = [cluster(Provider::Kind, "a", NodeState::Running), running("a")];
        assert_eq!(chosen(both.to_vec(), Some("kind/a")), Ok("a".to_owned()));
    }
}
