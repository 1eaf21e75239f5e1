//! Where a cluster's Kubernetes API server is published on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::InspectContainerOptions;
use portgate_core::port::Port;

use crate::call::{self, Call, QUESTION};
use crate::engine::Engine;
use crate::trust;

impl Engine {
    /// Where the API server in this container is published; none if it is not. Its own port is `port`.
    pub async fn published_api(&self, container: &str, port: Port) -> Result<Option<SocketAddr>, call::Error> {
        let inspection = self.docker.inspect_container(container, None::<InspectContainerOptions>);
        let mut inspection = Call::new("inspect container", container, QUESTION).make(inspection).await?;
        let image = self.image_labels(inspection.image.as_deref().unwrap_or_default()).await?;
        if let Some(labels) = inspection.config.as_mut().and_then(|config| config.labels.as_mut()) {
            trust::subtract(labels, image.as_ref());
        }
        Ok(published(inspection, port))
    }
}

/// k3d publishes it on its load balancer, and says in the servers' labels where; others publish the port itself.
fn published(container: ContainerInspectResponse, port: Port) -> Option<SocketAddr> {
    let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
    let label = |key: &str| labels.get(key).map(String::as_str);
    if let Some(port) = label("k3d.server.api.port") {
        return socket(label("k3d.server.api.hostIP"), port);
    }
    let ports = container.network_settings?.ports?;
    let bindings = ports.get(&format!("{port}/tcp"))?.as_ref()?;
    bindings.iter().find_map(|binding| socket(binding.host_ip.as_deref(), binding.host_port.as_deref()?))
}

/// An address that stands for all is reached at 127.0.0.1.
fn socket(address: Option<&str>, port: &str) -> Option<SocketAddr> {
    let address =
        address.and_then(|address| address.parse::<IpAddr>().ok()).filter(|address| !address.is_unspecified());
    Some(SocketAddr::new(address.unwrap_or(Ipv4Addr::LOCALHOST.into()), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(inspection: &str) -> Option<String> {
        let port = Port::new(6443).unwrap();
        published(serde_json::from_str(inspection).unwrap(), port).map(|address| address.to_string())
    }

    #[test]
    fn k3d_says_it_in_labels() {
        let labels = r#"{"k3d.server.api.port":"40123","k3d.server.api.hostIP":"0.0.0.0"}"#;
        assert_eq!(api(&format!(r#"{{"Config":{{"Labels":{labels}}}}}"#)).unwrap(), "127.0.0.1:40123");
    }

    #[test]
    fn kind_and_minikube_publish_the_port_itself() {
        let ports = r#"{"6443/tcp":[{"HostIp":"127.0.0.1","HostPort":"33445"}],"22/tcp":null}"#;
        let inspection = format!(r#"{{"NetworkSettings":{{"Ports":{ports}}}}}"#);
        assert_eq!(api(&inspection).unwrap(), "127.0.0.1:33445");
        assert_eq!(api(r#"{"NetworkSettings":{"Ports":{"6443/tcp":null}}}"#), None);
        assert_eq!(api("{}"), None);
    }
}
