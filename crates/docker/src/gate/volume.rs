//! The volumes that keep gates' state files.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use portgate_core::cluster::{ClusterId, Provider};

use crate::call::{self, CHANGE, Call, QUESTION, is_missing};
use crate::engine::Engine;
use crate::labels;

/// The cluster that a volume's labels name.
fn owner(labels: &HashMap<String, String>) -> Option<ClusterId> {
    let provider = Provider::from_name(labels.get(labels::PROVIDER)?)?;
    Some(ClusterId { provider, name: labels.get(labels::CLUSTER)?.clone() })
}

impl Engine {
    /// Makes a volume, unless there is one of this name, whose labels stay as they are. Returns whether it was made now.
    pub async fn ensure_volume(&self, name: &str, labels: HashMap<String, String>) -> Result<bool, call::Error> {
        match Call::new("look up volume", name, QUESTION).make(self.docker.inspect_volume(name)).await {
            Ok(_) => return Ok(false),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        let request =
            VolumeCreateRequest { name: Some(name.to_owned()), labels: Some(labels), ..VolumeCreateRequest::default() };
        Call::new("create volume", name, CHANGE).make(self.docker.create_volume(request)).await?;
        Ok(true)
    }

    /// The clusters that have a volume for their gates.
    pub async fn clusters_with_volume(&self) -> Result<Vec<ClusterId>, call::Error> {
        let filters = HashMap::from([("label", vec![labels::CLUSTER.to_owned()])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = Call::new("list volumes", "", QUESTION).make(self.docker.list_volumes(Some(options))).await?;
        Ok(listed.volumes.unwrap_or_default().into_iter().filter_map(|volume| owner(&volume.labels)).collect())
    }

    /// Removes a volume and what is in it. One that is gone is no error; one that a container uses is.
    pub async fn remove_volume(&self, name: &str) -> Result<(), call::Error> {
        let removal = self.docker.remove_volume(name, None::<RemoveVolumeOptions>);
        match Call::new("remove volume", name, CHANGE).make(removal).await {
            Err(error) if is_missing(&error) => Ok(()),
            result => result,
        }
    }
}
