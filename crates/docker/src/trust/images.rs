//! The labels of images, as far as they make something of a container.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use portgate_core::limits;

use crate::call::{self, Call, QUESTION, is_missing};
use crate::engine::Engine;
use crate::labels;

/// The labels that say what a container is, those that others hang on first. A gate's version is not among them: the
/// image of a gate has it too.
pub(super) const LABELS: [&str; 17] = [
    labels::CLUSTER,
    labels::PROVIDER,
    labels::NETWORK,
    labels::PLACEMENT,
    labels::DATAPATH,
    labels::SWEEP,
    "k3d.cluster",
    "k3d.role",
    "k3d.cluster.network",
    "k3d.server.api.port",
    "k3d.server.api.hostIP",
    "io.x-k8s.kind.cluster",
    "io.x-k8s.kind.role",
    "created_by.minikube.sigs.k8s.io",
    "name.minikube.sigs.k8s.io",
    "role.minikube.sigs.k8s.io",
    labels::DEMO,
];

/// Those of [`LABELS`] that an image has.
pub(crate) type ImageLabels = Arc<BTreeMap<&'static str, String>>;

/// What is remembered of images. An image's id is the digest of its configuration, so its labels never change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Images(Arc<Mutex<HashMap<String, ImageLabels>>>);

impl Images {
    fn get(&self, id: &str) -> Option<ImageLabels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, id: &str, labels: &ImageLabels) {
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if images.len() >= limits::IMAGES.most {
            images.clear();
        }
        images.insert(id.to_owned(), Arc::clone(labels));
    }
}

impl Engine {
    /// The labels of the image with this id; none if it is gone.
    pub(crate) async fn image_labels(&self, id: &str) -> Result<Option<ImageLabels>, call::Error> {
        if let Some(known) = self.images.get(id) {
            return Ok(Some(known));
        }
        if id.is_empty() {
            return Ok(None);
        }
        let image = match Call::new("inspect image", id, QUESTION).make(self.docker.inspect_image(id)).await {
            Err(error) if is_missing(&error) => return Ok(None),
            image => image?,
        };
        let mut all = image.config.and_then(|config| config.labels).unwrap_or_default();
        let labels = LABELS.iter().filter_map(|&label| Some((label, all.remove(label)?))).collect();
        let labels = ImageLabels::new(labels);
        self.images.put(id, &labels);
        Ok(Some(labels))
    }
}
