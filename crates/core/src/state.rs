//! What a gate must not forget: the content of its state file.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterId;
use crate::control::Change;
use crate::forward::Forward;
use crate::kubernetes::{ObjectKey, Objects};
use crate::limits::{self, Exceeded};
use crate::mapping::{Local, Mapping};
use crate::table::OwnAddresses;

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
    /// What was known of the Kubernetes objects that these mappings name, when they were opened.
    #[serde(default)]
    pub objects: Objects,
    /// The addresses of the user's machine, for a gate that cannot find them out itself.
    #[serde(default)]
    pub machine: OwnAddresses,
    /// How they are carried through the Kubernetes API server; none if they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
}

/// Why the content of a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is not what a gate writes.
    #[error("it is damaged")]
    Damaged(#[source] serde_json::Error),
    /// A newer portgate wrote it.
    #[error("it has format {found}, and this portgate reads up to {FORMAT}")]
    Newer {
        /// Its format.
        found: u32,
    },
    /// It is larger than any that a gate writes.
    #[error(transparent)]
    TooLarge(#[from] Exceeded),
}

/// What every format has.
#[derive(Deserialize)]
struct Layout {
    format: u32,
}

impl GateState {
    /// Reads the content of a state file. `place` names the file.
    pub fn from_json(content: &[u8], place: &str) -> Result<Self, StateError> {
        limits::STATE.check(content.len(), || place.to_owned())?;
        // A newer format need not look like this one in anything else.
        let Layout { format } = serde_json::from_slice(content).map_err(StateError::Damaged)?;
        if format > FORMAT {
            return Err(StateError::Newer { found: format });
        }
        serde_json::from_slice(content).map_err(StateError::Damaged)
    }

    /// The content of the state file.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// The first state of a gate.
    pub fn new(cluster: ClusterId, nodes: Vec<NodeHost>, mut mappings: Vec<Mapping>) -> Self {
        mappings.sort();
        let (objects, machine) = (Objects::default(), OwnAddresses::default());
        Self { format: FORMAT, revision: 1, cluster, nodes, mappings, objects, machine, forward: None }
    }

    /// The state with what is known of the objects that its mappings name.
    #[must_use]
    pub fn knowing(self, objects: &Objects) -> Self {
        let objects = objects.of(named(&self.mappings));
        Self { objects, ..self }
    }

    /// The state after a change, one revision on. An opened mapping replaces one with the same local end.
    #[must_use]
    pub fn changed(&self, change: &Change) -> Self {
        let open = change.open.iter().map(|mapping| &mapping.local);
        let gone: BTreeSet<&Local> = change.close.iter().chain(open).collect();
        let kept = self.mappings.iter().filter(|mapping| !gone.contains(&mapping.local));
        let mut mappings: Vec<Mapping> = kept.chain(&change.open).cloned().collect();
        mappings.sort();
        let mut objects = self.objects.clone();
        objects.update(&change.objects);
        Self {
            format: FORMAT,
            // Compared with others, never counted.
            revision: self.revision.wrapping_add(1),
            cluster: self.cluster.clone(),
            nodes: change.nodes.clone().unwrap_or_else(|| self.nodes.clone()),
            objects: objects.of(named(&mappings)),
            mappings,
            machine: change.machine.clone().unwrap_or_else(|| self.machine.clone()),
            forward: self.forward.clone(),
        }
    }

    /// The Kubernetes objects that must be known to carry the mappings.
    pub fn named_objects(&self) -> BTreeSet<ObjectKey> {
        named(&self.mappings).cloned().collect()
    }
}

fn named(mappings: &[Mapping]) -> impl Iterator<Item = &ObjectKey> {
    mappings.iter().filter_map(|mapping| mapping.target.object())
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
    use crate::kubernetes::{Kind, sample};
    use crate::mapping::Target;
    use crate::spec;

    fn mapping(text: &str) -> Mapping {
        spec::mappings(text).remove(0)
    }

    #[test]
    fn a_change_replaces_adds_and_drops_and_counts_one_revision() {
        let cluster = ClusterId { provider: Provider::K3d, name: "c".to_owned() };
        let mappings = vec![mapping("30999"), mapping("30080"), mapping("8080:1")];
        let first = GateState::new(cluster, Vec::new(), mappings);
        let change = Change {
            revision: first.revision,
            open: vec![mapping("8080:2"), mapping("80")],
            close: vec![mapping("30999").local],
            ..Change::default()
        };
        let changed = first.changed(&change);
        assert_eq!(changed.revision, first.revision + 1);
        assert_eq!(changed.mappings, [mapping("80"), mapping("8080:2"), mapping("30080")]);
    }

    #[test]
    fn damage_newer_formats_and_sizes_are_told_apart() {
        let read = |content: &[u8]| GateState::from_json(content, "state.json");
        let state = GateState::new(ClusterId { provider: Provider::K3d, name: "c".to_owned() }, Vec::new(), Vec::new());
        let json = state.to_json().unwrap();
        assert_eq!(read(&json).unwrap(), state);
        let half = json.split_at(json.len() / 2).0;
        for damaged in
            [b"".as_slice(), b"{", half, b"\xff\xfe", b"null", b"[]", br#"{"format":1}"#, br#"{"format":-1}"#]
        {
            assert!(matches!(read(damaged), Err(StateError::Damaged(_))), "{}", String::from_utf8_lossy(damaged));
        }
        // Nothing but the format is known of what a newer one looks like.
        assert!(matches!(read(br#"{"format":2,"ports":{}}"#), Err(StateError::Newer { found: 2 })));
        let error = read(&vec![b' '; limits::STATE.most + 1]).unwrap_err();
        assert_eq!(error.to_string(), "state.json exceeds the limit of 32 MiB for a state file");
    }

    #[test]
    fn objects_are_kept_for_as_long_as_a_mapping_names_them() {
        let cluster = ClusterId { provider: Provider::K3d, name: "c".to_owned() };
        let object = sample::key(Kind::Service, "echo", "backend");
        let target = Target::Object { object: object.clone(), port: "http".parse().unwrap() };
        let to_service = Mapping { target, ..mapping("8080") };
        let first = GateState::new(cluster, Vec::new(), Vec::new()).knowing(&sample::objects());
        assert!(first.objects.services.is_empty());
        let open = Change { open: vec![to_service.clone()], objects: sample::objects(), ..Change::default() };
        let second = first.changed(&open);
        assert_eq!(second.objects.services.keys().collect::<Vec<_>>(), [&object]);
        assert_eq!(second.named_objects(), [object].into());
        let third = second.changed(&Change { close: vec![to_service.local], ..Change::default() });
        assert!(third.objects.services.is_empty() && third.objects.pods.is_empty());
    }
}
