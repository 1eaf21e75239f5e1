//! Demonstrations: networks and containers that look like a k3d cluster's, with nothing in them.
//!
//! All of it carries the label [`labels::DEMO`] with the demonstration's name, and only what carries it is ever removed.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{CreateContainerOptionsBuilder, ListNetworksOptionsBuilder};

use crate::call::{self, CHANGE, Call, QUESTION, is_missing};
use crate::clusters;
use crate::engine::Engine;
use crate::labels;

/// A container that plays a part in a demonstration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoContainer {
    /// The container's name.
    pub name: String,
    /// The image's reference.
    pub image: String,
    /// The arguments of the image's entry point.
    pub command: Vec<String>,
    /// The network, made by [`Engine::create_demo_network`].
    pub network: String,
    /// Labels beside the demonstration's own, such as `k3d.role`.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// Makes a bridge network with k3d's label. One that an earlier demonstration left is used: the engine would make
    /// another of the same name.
    pub async fn create_demo_network(&self, demo: &str, name: &str) -> Result<(), call::Error> {
        if self.network_names().await?.iter().any(|network| network == name) {
            return Ok(());
        }
        let labels = [("app", "k3d"), (labels::DEMO, demo)];
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..NetworkCreateRequest::default()
        };
        Call::new("create network", name, CHANGE).make(self.docker.create_network(request)).await?;
        Ok(())
    }

    /// Makes a container and starts it.
    pub async fn start_demo_container(&self, demo: &str, container: &DemoContainer) -> Result<(), call::Error> {
        let mut labels = container.labels.clone();
        labels.insert(labels::DEMO.to_owned(), demo.to_owned());
        let body = ContainerCreateBody {
            image: Some(container.image.clone()),
            cmd: Some(container.command.clone()),
            hostname: Some(container.name.clone()),
            labels: Some(labels),
            host_config: Some(HostConfig { network_mode: Some(container.network.clone()), ..HostConfig::default() }),
            ..ContainerCreateBody::default()
        };
        let options = CreateContainerOptionsBuilder::new().name(&container.name).build();
        let creation = self.docker.create_container(Some(options), body);
        Call::new("create container", &container.name, CHANGE).make(creation).await?;
        self.start(&container.name).await
    }

    /// Removes what a demonstration made: its containers, then its networks. It goes on after a failure, and returns
    /// all failures.
    pub async fn remove_demo(&self, demo: &str) -> Result<(), Vec<call::Error>> {
        let mut failures = Vec::new();
        for container in self.demo_containers(demo).await.map_err(|error| vec![error])? {
            failures.extend(self.remove(&container, true).await.err());
        }
        for network in self.demo_networks(demo).await.map_err(|error| vec![error])? {
            let removal = Call::new("remove network", &network, CHANGE).make(self.docker.remove_network(&network));
            failures.extend(removal.await.err().filter(|error| !is_missing(error)));
        }
        if failures.is_empty() { Ok(()) } else { Err(failures) }
    }

    /// The label of a demonstration has to be a container's own, so that no image has its containers removed.
    async fn demo_containers(&self, demo: &str) -> Result<Vec<String>, call::Error> {
        let containers = self.containers(true).await?;
        let is_part = |container: &&ContainerSummary| clusters::label(container, labels::DEMO) == Some(demo);
        Ok(containers.iter().filter(is_part).map(clusters::name).collect())
    }

    async fn demo_networks(&self, demo: &str) -> Result<Vec<String>, call::Error> {
        let options = ListNetworksOptionsBuilder::new().filters(&made_by(demo)).build();
        let listed = Call::new("list networks", "", QUESTION).make(self.docker.list_networks(Some(options)));
        Ok(listed.await?.into_iter().filter_map(|network| network.name).collect())
    }
}

fn made_by(demo: &str) -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", vec![format!("{}={demo}", labels::DEMO)])])
}
