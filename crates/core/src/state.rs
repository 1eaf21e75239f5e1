//! What a gate must not forget: the content of its state file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterId;
use crate::mapping::{Local, Mapping};

/// The layout of the state file that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The wanted mappings of one gate, and what the gate needs to carry them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateState {
    /// The layout, [`FORMAT`].
    pub format: u32,
    /// Counts the changes. A change names the revision that it was made for, and is refused if another came first.
    pub revision: u64,
    /// The gate's cluster.
    pub cluster: ClusterId,
    /// The nodes, in the order in which they are tried first.
    pub nodes: Vec<NodeHost>,
    /// The wanted mappings, in the order of their local ends.
    pub mappings: Vec<Mapping>,
}

impl GateState {
    /// The first state of a gate.
    pub fn new(cluster: ClusterId, nodes: Vec<NodeHost>, mut mappings: Vec<Mapping>) -> Self {
        mappings.sort();
        Self { format: FORMAT, revision: 1, cluster, nodes, mappings }
    }

    /// The state after a change, one revision on. An opened mapping replaces one with the same local end.
    #[must_use]
    pub fn changed(&self, open: &[Mapping], close: &[Local], nodes: Option<Vec<NodeHost>>) -> Self {
        let gone: BTreeSet<&Local> = close.iter().chain(open.iter().map(|mapping| &mapping.local)).collect();
        let kept = self.mappings.iter().filter(|mapping| !gone.contains(&mapping.local));
        let mut mappings: Vec<Mapping> = kept.chain(open).cloned().collect();
        mappings.sort();
        Self {
            format: FORMAT,
            revision: self.revision + 1,
            cluster: self.cluster.clone(),
            nodes: nodes.unwrap_or_else(|| self.nodes.clone()),
            mappings,
        }
    }
}

/// A node, and the name or address by which the gate finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHost {
    /// The container's name.
    pub name: String,
    /// What to resolve: the name, or an address where there is no DNS to ask (Docker's default bridge, a process).
    pub host: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Provider;
    use crate::spec::PortSpec;

    fn mapping(text: &str) -> Mapping {
        let spec = PortSpec::parse(text).unwrap();
        spec.mappings(&crate::mapping::HostAddresses::loopback()).unwrap().remove(0)
    }

    #[test]
    fn a_change_replaces_adds_and_drops_and_counts_one_revision() {
        let cluster = ClusterId { provider: Provider::K3d, name: "c".to_owned() };
        let first = GateState::new(cluster, Vec::new(), vec![mapping("30999"), mapping("30080"), mapping("8080:1")]);
        let changed = first.changed(&[mapping("8080:2"), mapping("80")], &[mapping("30999").local], None);
        assert_eq!(changed.revision, first.revision + 1);
        assert_eq!(changed.mappings, [mapping("80"), mapping("8080:2"), mapping("30080")]);
    }
}
