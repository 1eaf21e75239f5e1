//! Gates as containers: making, finding, starting, stopping and removing them.

mod container;
mod control;
mod form;
mod logs;
mod neighbour;
mod readonly;
mod spec;
mod state;
mod sweep;
mod volume;

use std::collections::HashMap;
use std::time::Duration;

use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    RestartContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::future::try_join_all;
use portgate_core::cluster::ClusterId;

pub use container::{GateContainer, Health, RunState};
pub use control::{Error as ControlError, Session};
pub use form::{GATE_DOCKER_SOCKET, GateForm, HOST_RUN_DIRECTORY, HostForm, SOCKET_VARIABLE};
pub use logs::{LogChunk, LogOptions, Output};
pub use spec::GateSpec;
pub use state::{Error as StateError, state_path};
pub use sweep::{Error as SweepError, SweepSpec};
pub use volume::GateVolume;

pub(crate) use container::from_inspection;

use neighbour::InterfaceSettings;

use crate::call::{self, CHANGE, Call, QUESTION, is_conflict, is_missing};
use crate::engine::Engine;
use crate::labels;

/// Why a gate's container could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another container has the name.
    #[error("there is a container named {name} already")]
    NameTaken {
        /// The gate's name.
        name: String,
        /// The engine's answer.
        #[source]
        source: call::Error,
    },
    /// The cluster's network is gone.
    #[error("there is no Docker network named {network}")]
    NoNetwork {
        /// The network's name.
        network: String,
    },
    /// The image is gone.
    #[error("the engine has no image {image}")]
    NoImage {
        /// The image's name.
        image: String,
        /// The engine's answer.
        #[source]
        source: call::Error,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NameTaken { name, .. } => Some(format!("if it is not needed, remove it: `docker rm -f {name}`")),
            Self::NoNetwork { .. } => {
                Some("is the cluster gone? `portgate clusters` lists those that exist".to_owned())
            }
            Self::NoImage { image, .. } => Some(format!("fetch it with `docker pull {image}`")),
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// The gates of one cluster or of all, running or not, in the order of their creation. A container that has a gate's
    /// labels and is no gate is left out.
    pub async fn gates(&self, cluster: Option<&ClusterId>) -> Result<Vec<GateContainer>, call::Error> {
        let wanted = match cluster {
            Some(id) => {
                vec![format!("{}={}", labels::CLUSTER, id.name), format!("{}={}", labels::PROVIDER, id.provider.name())]
            }
            None => vec![labels::CLUSTER.to_owned()],
        };
        let filters = HashMap::from([("label", wanted)]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = Call::new("list gates", "", QUESTION).make(self.docker.list_containers(Some(options))).await?;
        let gates = listed.iter().filter_map(|container| container.id.as_deref()).map(|id| self.gate(id));
        let gates = try_join_all(gates).await?.into_iter().flatten();
        let mut gates: Vec<GateContainer> = gates.filter_map(Result::ok).collect();
        gates.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.name.cmp(&b.name)));
        Ok(gates)
    }

    /// Whether a container of this name is anything but a gate of this cluster. The engine refuses the name of a container
    /// that is just being made, too, and such a one is not there yet.
    pub async fn is_of_others(&self, name: &str, cluster: &ClusterId) -> Result<bool, call::Error> {
        let found = self.gate(name).await?;
        Ok(found.is_some_and(|gate| gate.map_or(true, |gate| gate.cluster != *cluster)))
    }

    /// Makes a gate's container, which does not run yet. Its image and volume and the cluster's network must be there,
    /// even where it will have no endpoint on it. Returns its id.
    pub async fn create_gate(&self, spec: &GateSpec) -> Result<String, Error> {
        if !self.network_names().await?.contains(&spec.network) {
            return Err(Error::NoNetwork { network: spec.network.clone() });
        }
        let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
        let settings = match spec.form {
            GateForm::Published { .. } => InterfaceSettings::of(&self.info().await?),
            GateForm::Host(_) => InterfaceSettings::Nowhere,
        };
        let creation = self.docker.create_container(Some(options), spec.create_body(settings));
        match Call::new("create container", &spec.name, CHANGE).make(creation).await {
            Ok(created) => Ok(created.id),
            Err(source) if is_conflict(&source) => Err(Error::NameTaken { name: spec.name.clone(), source }),
            Err(source) if is_missing(&source) => Err(Error::NoImage { image: spec.image.clone(), source }),
            Err(error) => Err(error.into()),
        }
    }

    /// Starts a container. One that runs already is left as it is.
    pub async fn start(&self, container: &str) -> Result<(), call::Error> {
        let start = self.docker.start_container(container, None::<StartContainerOptions>);
        Call::new("start container", container, CHANGE).make(start).await
    }

    /// Stops a container: SIGTERM, and SIGKILL after `grace`, in whole seconds. One that does not run is left as it is.
    pub async fn stop(&self, container: &str, grace: Duration) -> Result<(), call::Error> {
        let options = StopContainerOptionsBuilder::new().t(seconds(grace)).build();
        let stop = self.docker.stop_container(container, Some(options));
        Call::new("stop container", container, grace + CHANGE).make(stop).await
    }

    /// Stops a container, if it runs, and starts it.
    pub async fn restart(&self, container: &str, grace: Duration) -> Result<(), call::Error> {
        let options = RestartContainerOptionsBuilder::new().t(seconds(grace)).build();
        let restart = self.docker.restart_container(container, Some(options));
        Call::new("restart container", container, grace + CHANGE).make(restart).await
    }

    /// Removes a container; with `force` even while it runs. One that is gone is no error. Its volume stays.
    pub async fn remove(&self, container: &str, force: bool) -> Result<(), call::Error> {
        let options = RemoveContainerOptionsBuilder::new().force(force).build();
        let removal = self.docker.remove_container(container, Some(options));
        match Call::new("remove container", container, CHANGE).make(removal).await {
            Err(error) if is_missing(&error) => Ok(()),
            result => result,
        }
    }
}

/// Whole seconds, as the engine takes them.
fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}
