//! What is believed of a container.
//!
//! Who may use the engine is trusted, and an image is not. The engine lists the labels of a container together with those
//! of its image. So a label counts only if the image does not have the same one with the same value: no image of k3d,
//! kind, minikube or portgate has a label that makes a container a node or a gate. And a gate has to be as portgate makes
//! gates (see `gate::container`). A container that is not believed is treated as one without these labels, and is named.

mod images;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use bollard::models::ContainerSummary;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::future::{try_join, try_join_all};
use portgate_core::cluster::{ClusterId, Provider};
use serde::{Serialize, Serializer};

pub(crate) use images::{ImageLabels, Images};

use crate::call::{self, Call, QUESTION, is_missing};
use crate::clusters::member::Member;
use crate::clusters::{label, name};
use crate::engine::Engine;
use crate::gate::{GateContainer, from_inspection};
use crate::labels;

/// What begins the names of portgate's own labels.
const OWN: &str = "dev.portgate.";

/// A container that is not what its labels say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// The container's name.
    pub container: String,
    /// What its labels say.
    pub claim: Claim,
    /// The cluster that its labels name, where they are understood.
    pub cluster: Option<ClusterId>,
    /// Why that is not believed.
    #[serde(serialize_with = "as_text")]
    pub reason: Reason,
}

/// What a container's labels say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// A node of a cluster.
    Node,
    /// A gate.
    Gate,
    /// A part of a demonstration.
    Demo,
}

/// Why a container is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A label is the image's.
    #[error("its label {label} comes from its image")]
    ImageLabel {
        /// The label's name.
        label: &'static str,
    },
    /// The image is gone, and what labels it had is not known.
    #[error("its image is gone, and its labels may come from there")]
    ImageGone,
    /// It is not on the network of the cluster's oldest server.
    #[error("it is not on the cluster's network, {network}")]
    Network {
        /// The cluster's network.
        network: String,
    },
    /// No tool gives a cluster this name.
    #[error("no cluster has such a name")]
    ClusterName,
    /// A gate has a label that this one has not, or not with this value.
    #[error("portgate gives no gate such a label {label}")]
    Label {
        /// The label's name.
        label: &'static str,
    },
    /// Its command is not a gate's.
    #[error("its command is not that of a gate")]
    Command,
    /// A gate keeps its state in a volume.
    #[error("it has no volume for a gate's state")]
    Volume,
    /// A gate's root file system is read-only.
    #[error("its root file system is not read-only")]
    WritableRoot,
    /// Its placement label names the host's network and it is elsewhere, or the other way round.
    #[error("it is not on the network that its label {} names", labels::PLACEMENT)]
    Placement,
    /// The engine does not say all that is said of every container.
    #[error("the engine does not describe it")]
    Incomplete,
}

fn as_text<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(reason)
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, claim, cluster, reason } = self;
        let claim = match claim {
            Claim::Node => "a node",
            Claim::Gate => "a gate",
            Claim::Demo => "a part of a demo",
        };
        write!(f, "container {container} is not believed to be {claim}")?;
        if let Some(ClusterId { provider, name }) = cluster {
            write!(f, " of cluster {provider}/{name}")?;
        }
        write!(f, ": {reason}")
    }
}

/// Containers with the labels that are believed.
pub(crate) struct Believed {
    pub(crate) containers: Vec<ContainerSummary>,
    /// Those of which something was not believed, one for each container.
    pub(crate) rejections: Vec<Rejection>,
}

/// What has to be known beside the engine's list.
#[derive(Default)]
struct Evidence {
    /// The labels of images, by the images' ids. One that is missing is gone.
    images: HashMap<String, ImageLabels>,
    /// What is the matter with containers that have a gate's labels, by the containers' ids; none of a gate.
    gates: HashMap<String, Option<Reason>>,
}

impl Engine {
    /// The engine's containers, with the labels that are believed.
    pub(crate) async fn believed(&self, stopped_too: bool) -> Result<Believed, call::Error> {
        let listed = self.listed(stopped_too).await?;
        let claimants = || listed.iter().filter(|container| claim(container).is_some());
        let images: BTreeSet<String> = claimants().filter_map(|container| container.image_id.clone()).collect();
        let images =
            try_join_all(images.into_iter().map(async |id| Ok::<_, call::Error>((self.image_labels(&id).await?, id))));
        let gates = claimants().filter(|container| label(container, labels::CLUSTER).is_some());
        let gates = gates.filter_map(|container| container.id.clone());
        let gates = try_join_all(gates.map(async |id| Ok::<_, call::Error>((self.gate(&id).await?, id))));
        let (images, gates) = try_join(images, gates).await?;
        let evidence = Evidence {
            images: images.into_iter().filter_map(|(labels, id)| Some((id, labels?))).collect(),
            gates: gates.into_iter().filter_map(|(gate, id)| Some((id, gate?.err()))).collect(),
        };
        Ok(judge(listed, &evidence))
    }

    /// A container that has a gate's labels, or why it is no gate; none if there is no such container.
    pub(crate) async fn gate(&self, container: &str) -> Result<Option<Result<GateContainer, Reason>>, call::Error> {
        let inspection = self.docker.inspect_container(container, None::<InspectContainerOptions>);
        let found = match Call::new("inspect container", container, QUESTION).make(inspection).await {
            Err(error) if is_missing(&error) => return Ok(None),
            found => found?,
        };
        let image = self.image_labels(found.image.as_deref().unwrap_or_default()).await?;
        Ok(Some(from_inspection(found, image.as_ref())))
    }
}

/// What a container says that it is, and of which cluster.
fn claim(container: &ContainerSummary) -> Option<(Claim, Option<ClusterId>)> {
    if let Some(cluster) = label(container, labels::CLUSTER) {
        let provider = label(container, labels::PROVIDER).and_then(Provider::from_name);
        return Some((Claim::Gate, provider.map(|provider| ClusterId { provider, name: cluster.to_owned() })));
    }
    let node = Member::of(container).map(|member| (Claim::Node, Some(member.id)));
    node.or_else(|| label(container, labels::DEMO).map(|_| (Claim::Demo, None)))
}

/// Takes away the labels that are not believed. A container that claims to be a gate and was not found is gone.
fn judge(listed: Vec<ContainerSummary>, evidence: &Evidence) -> Believed {
    let mut believed = Believed { containers: Vec::with_capacity(listed.len()), rejections: Vec::new() };
    for mut container in listed {
        let Some((what, cluster)) = claim(&container) else {
            believed.containers.push(container);
            continue;
        };
        let reason = if what == Claim::Gate {
            match container.id.as_ref().and_then(|id| evidence.gates.get(id)) {
                Some(None) => {
                    believed.containers.push(container);
                    continue;
                }
                Some(Some(reason)) => Some(reason.clone()),
                None => continue,
            }
        } else {
            None
        };
        let image = container.image_id.as_ref().and_then(|id| evidence.images.get(id));
        let labels = container.labels.get_or_insert_default();
        if reason.is_some() {
            labels.retain(|label, _| !label.starts_with(OWN));
        }
        let foreign = subtract(labels, image);
        let is_lost = || claim(&container).is_none_or(|(now, _)| now != what);
        if let Some(reason) = reason.or_else(|| foreign.filter(|_| is_lost())) {
            believed.rejections.push(Rejection { container: name(&container), claim: what, cluster, reason });
        }
        believed.containers.push(container);
    }
    believed
}

/// Takes away the labels that are the image's, or may be. Returns why the first of them went.
pub(crate) fn subtract(labels: &mut HashMap<String, String>, image: Option<&ImageLabels>) -> Option<Reason> {
    let mut first = None;
    for label in images::LABELS {
        let Some(value) = labels.get(label) else { continue };
        let reason = match image {
            None => Reason::ImageGone,
            Some(image) if image.get(label) == Some(value) => Reason::ImageLabel { label },
            Some(_) => continue,
        };
        labels.remove(label);
        first = first.or(Some(reason));
    }
    first
}

#[cfg(test)]
mod tests;
