//! The admin kubeconfig in a server container.

use std::net::SocketAddr;

use kube::config::Kubeconfig;
use portgate_core::port::Port;

use super::Error;
use super::kubeconfig::{cluster_of, server_of};

/// Where a server container has its admin kubeconfig, in the order to try: k3d, k3s itself, kind and minikube.
pub const CONTAINER_KUBECONFIGS: [&str; 3] =
    ["/output/kubeconfig.yaml", "/etc/rancher/k3s/k3s.yaml", "/etc/kubernetes/admin.conf"];

/// The name that every API server of k3s and of kubeadm has in its certificate.
const SERVER_NAME: &str = "kubernetes";

/// The port of the API server within the container: that of the URL in its admin kubeconfig. It is the port to use with
/// the node's own address, and the one whose published port leads to the API.
pub fn port_in(kubeconfig: &str) -> Result<Port, Error> {
    let (kubeconfig, context) = parse(kubeconfig)?;
    let server = server_of(cluster_of(&kubeconfig, &context)?.0)?;
    let url = server.parse::<http::Uri>().ok();
    let default = if server.starts_with("https") { 443 } else { 80 };
    let port = url.map(|url| url.port_u16().unwrap_or(default)).and_then(Port::new);
    port.ok_or(Error::BadServer { server })
}

/// The kubeconfig with another address, that address as a URL, and the namespace of its context.
pub(super) fn read(kubeconfig: &str, address: SocketAddr) -> Result<(Kubeconfig, String, String), Error> {
    let (mut kubeconfig, context) = parse(kubeconfig)?;
    let (cluster, namespace) = cluster_of(&kubeconfig, &context)?;
    server_of(cluster)?;
    let server = format!("https://{address}");
    let mut cluster = cluster.clone();
    cluster.server = Some(server.clone());
    cluster.tls_server_name = Some(SERVER_NAME.to_owned());
    for named in &mut kubeconfig.clusters {
        named.cluster = Some(cluster.clone());
    }
    kubeconfig.current_context = Some(context);
    Ok((kubeconfig, server, namespace))
}

/// The kubeconfig and its current context, else its first.
fn parse(text: &str) -> Result<(Kubeconfig, String), Error> {
    let kubeconfig = Kubeconfig::from_yaml(text).map_err(|error| Error::of_text(error, "the admin kubeconfig"))?;
    let current = kubeconfig.current_context.clone().filter(|name| !name.is_empty());
    let first = || kubeconfig.contexts.first().map(|context| context.name.clone());
    let context = current.or_else(first).ok_or(Error::NoCurrentContext { known: Vec::new() })?;
    Ok((kubeconfig, context))
}
