//! The volumes that keep gates' state files.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::RemoveVolumeOptions;

use crate::call::{self, CHANGE, Call, QUESTION, is_missing};
use crate::engine::Engine;

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

    /// Removes a volume and what is in it. One that is gone is no error; one that a container uses is.
    pub async fn remove_volume(&self, name: &str) -> Result<(), call::Error> {
        let removal = self.docker.remove_volume(name, None::<RemoveVolumeOptions>);
        match Call::new("remove volume", name, CHANGE).make(removal).await {
            Err(error) if is_missing(&error) => Ok(()),
            result => result,
        }
    }
}
