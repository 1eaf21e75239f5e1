//! The rows of `portgate clusters`: one for each node; in JSON, one for each cluster.

use portgate_core::cluster::{Cluster, Node, NodeState};
use portgate_docker::clusters::Survey;
use portgate_docker::trust::Rejection;
use serde::{Serialize, Serializer};

use super::{Row, print, print_document, warning};
use crate::args::Format;
use crate::failure::Failure;

/// Prints clusters: documents hold them whole, tables have a line for each node. What is not believed stands in documents,
/// and beside tables and names.
pub(crate) fn print_clusters(format: Format, survey: &Survey) -> Result<(), Failure> {
    let Survey { clusters, rejections } = survey;
    match format {
        Format::Table | Format::Wide => {
            let rows =
                clusters.iter().flat_map(|cluster| cluster.nodes.iter().map(move |node| NodeRow { cluster, node }));
            print(format, &rows.collect::<Vec<_>>())?;
        }
        Format::Name => print(format, &clusters.iter().map(ClusterRow).collect::<Vec<_>>())?,
        Format::Json | Format::Yaml => {
            return print_document(format, &Document { items: clusters, rejected: rejections });
        }
    }
    rejections.iter().for_each(warning);
    Ok(())
}

#[derive(Serialize)]
struct Document<'a> {
    items: &'a [Cluster],
    rejected: &'a [Rejection],
}

struct ClusterRow<'a>(&'a Cluster);

impl Serialize for ClusterRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Row for ClusterRow<'_> {
    fn titles(_wide: bool) -> Vec<&'static str> {
        vec!["CLUSTER"]
    }

    fn cells(&self, _wide: bool) -> Vec<String> {
        vec![self.name()]
    }

    fn name(&self) -> String {
        self.0.id.name.clone()
    }
}

#[derive(Serialize)]
struct NodeRow<'a> {
    cluster: &'a Cluster,
    node: &'a Node,
}

impl Row for NodeRow<'_> {
    fn titles(_wide: bool) -> Vec<&'static str> {
        vec!["PROVIDER", "CLUSTER", "NETWORK", "NODE", "ROLE", "ADDRESS", "STATE"]
    }

    fn cells(&self, _wide: bool) -> Vec<String> {
        let Node { name, role, state, address } = self.node;
        let address = address.filter(|_| *state == NodeState::Running).map(|address| address.to_string());
        vec![
            self.cluster.id.provider.to_string(),
            self.cluster.id.name.clone(),
            self.cluster.network.clone(),
            name.clone(),
            role.to_string(),
            address.unwrap_or_else(|| "-".to_owned()),
            state.to_string(),
        ]
    }

    fn name(&self) -> String {
        self.node.name.clone()
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::cluster::{ClusterId, Provider, Role};

    use super::*;
    use crate::view::hostile::check_row;

    fn cluster(text: &str) -> Cluster {
        let node = Node { name: text.to_owned(), role: Role::Server, state: NodeState::Running, address: None };
        let id = ClusterId { provider: Provider::K3d, name: text.to_owned() };
        Cluster { id, network: text.to_owned(), nodes: vec![node] }
    }

    #[test]
    fn labels_and_names_of_containers_cannot_reach_the_terminal() {
        check_row(|text| ClusterRow(Box::leak(Box::new(cluster(text)))));
        check_row(|text| {
            let cluster = Box::leak(Box::new(cluster(text)));
            NodeRow { cluster, node: &cluster.nodes[0] }
        });
    }
}
