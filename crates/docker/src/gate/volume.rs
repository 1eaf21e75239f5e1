//! The volumes that keep gates' state files.

use std::collections::HashMap;

use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use portgate_core::cluster::{ClusterId, Provider};

use crate::call::{self, CHANGE, Call, QUESTION, is_missing};
use crate::engine::Engine;
use crate::labels;

/// A volume that portgate made. A volume has no labels but those that it was made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GateVolume {
    /// The cluster whose gates keep their state there.
    pub cluster: ClusterId,
    /// The volume's name.
    pub name: String,
}

fn gate_volume(volume: Volume) -> Option<GateVolume> {
    let provider = Provider::from_name(volume.labels.get(labels::PROVIDER)?)?;
    let name = volume.labels.get(labels::CLUSTER)?.clone();
    Some(GateVolume { cluster: ClusterId { provider, name }, name: volume.name })
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

    /// The volumes that portgate made, those of one cluster beside each other.
    pub async fn gate_volumes(&self) -> Result<Vec<GateVolume>, call::Error> {
        let filters = HashMap::from([("label", vec![labels::CLUSTER.to_owned()])]);
        let options = ListVolumesOptionsBuilder::new().filters(&filters).build();
        let listed = Call::new("list volumes", "", QUESTION).make(self.docker.list_volumes(Some(options))).await?;
        let mut volumes: Vec<GateVolume> =
            listed.volumes.unwrap_or_default().into_iter().filter_map(gate_volume).collect();
        volumes.sort();
        Ok(volumes)
    }

    /// Removes the volumes of a cluster's gates. Older versions gave them other names.
    pub async fn remove_volumes_of(&self, cluster: &ClusterId) -> Result<(), call::Error> {
        for volume in self.gate_volumes().await?.iter().filter(|volume| volume.cluster == *cluster) {
            self.remove_volume(&volume.name).await?;
        }
        Ok(())
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
