//! The admin kubeconfig in a server container.
//!
//! Whoever wrote the container's image wrote this file, too. So its text is never used as a kubeconfig. A new one is made
//! of the few values that are taken from it: certificates, a key and a token that are in the file itself. The server is
//! the container's own address. A field that would make portgate run, read, send or trust anything else is an error.

mod fields;

use std::fmt;
use std::net::SocketAddr;

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};
use portgate_core::limits::{self, Exceeded};
use portgate_core::port::Port;

use super::error::{Error, Unfit};
use super::kubeconfig::DEFAULT_NAMESPACE;
use fields::{Document, Fields, Named};

/// Where a server container has its admin kubeconfig, in the order to try: k3d, k3s itself, kind and minikube.
pub const CONTAINER_KUBECONFIGS: [&str; 3] =
    ["/output/kubeconfig.yaml", "/etc/rancher/k3s/k3s.yaml", "/etc/kubernetes/admin.conf"];

/// The name that every API server of k3s and of kubeadm has in its certificate.
const SERVER_NAME: &str = "kubernetes";

/// What the context, the cluster and the user are called in the kubeconfig that is made.
const OWN_NAME: &str = "container";

/// The fields of a cluster that would make portgate read a file, trust any server, or send the credentials elsewhere.
const REFUSED_OF_CLUSTER: [&str; 4] =
    ["certificate-authority", "insecure-skip-tls-verify", "proxy-url", "tls-server-name"];

/// The fields of a user that would make portgate run a command, read a file, or be somebody else.
const REFUSED_OF_USER: [&str; 11] = [
    "exec",
    "auth-provider",
    "tokenFile",
    "client-certificate",
    "client-key",
    "username",
    "password",
    "as",
    "as-uid",
    "as-groups",
    "as-user-extra",
];

/// What is taken of the admin kubeconfig in a server container.
///
/// Its other contexts and users are ignored, and so are fields that say nothing about access.
#[derive(Clone)]
pub struct ContainerKubeconfig {
    container: String,
    port: Port,
    pub(super) namespace: String,
    authority: String,
    certificate: Option<String>,
    key: Option<String>,
    token: Option<String>,
}

impl fmt::Debug for ContainerKubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerKubeconfig")
            .field("container", &self.container)
            .field("port", &self.port)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl ContainerKubeconfig {
    /// Reads the text, which came out of this container. Its current context counts, else its first.
    pub fn read(container: &str, text: &str) -> Result<Self, Error> {
        let name = || format!("the admin kubeconfig of container {container}");
        limits::KUBECONFIG.check(text.len(), name)?;
        let document = Document::read(text).map_err(|error| {
            let is_too_much = matches!(error.without_snippet(), serde_saphyr::Error::Budget { .. });
            if is_too_much {
                Exceeded { place: name(), limit: limits::KUBECONFIG_NODES }.into()
            } else {
                Error::Parse { name: name(), line: error.location().map(|location| location.line()) }
            }
        })?;
        Self::of(container, &document).map_err(|reason| Error::Unfit { container: container.to_owned(), reason })
    }

    fn of(container: &str, document: &Document) -> Result<Self, Unfit> {
        let context = document.context().ok_or(Unfit::NoContext)?;
        let cluster = context.text("context", "cluster")?;
        let cluster = cluster.and_then(|name| fields_of(&document.clusters, name)).ok_or(Unfit::NoContext)?;
        let none = Fields::default();
        let user = context.text("context", "user")?.and_then(|name| fields_of(&document.users, name)).unwrap_or(&none);
        cluster.refuse("cluster", &REFUSED_OF_CLUSTER)?;
        user.refuse("user", &REFUSED_OF_USER)?;
        let taken = |field| Ok(user.text("user", field)?.map(str::to_owned));
        let authority = cluster.text("cluster", "certificate-authority-data")?.ok_or(Unfit::NoAuthority)?;
        Ok(Self {
            container: container.to_owned(),
            port: port(cluster)?,
            namespace: namespace(context)?,
            authority: authority.to_owned(),
            certificate: taken("client-certificate-data")?,
            key: taken("client-key-data")?,
            token: token(user)?,
        })
    }

    /// The container that it came out of.
    pub fn container(&self) -> &str {
        &self.container
    }

    /// The port of the API server within the container: the one to use with the node's own address, and the one whose
    /// published port leads to the API.
    pub fn port(&self) -> Port {
        self.port
    }

    /// A kubeconfig with these credentials for the server at this URL, and nothing else.
    ///
    /// No certificate needs to have its address in it, so the server has to prove to be `kubernetes`: those of k3s and of
    /// kubeadm (kind, minikube) all have this name among their alternative names.
    pub(super) fn kubeconfig(&self, server: &str) -> Kubeconfig {
        let cluster = Cluster {
            server: Some(server.to_owned()),
            certificate_authority_data: Some(self.authority.clone()),
            tls_server_name: Some(SERVER_NAME.to_owned()),
            ..Cluster::default()
        };
        let user = AuthInfo {
            client_certificate_data: self.certificate.clone(),
            client_key_data: self.key.clone().map(Into::into),
            token: self.token.clone().map(Into::into),
            ..AuthInfo::default()
        };
        let name = || OWN_NAME.to_owned();
        let context = Context {
            cluster: name(),
            user: Some(name()),
            namespace: Some(self.namespace.clone()),
            ..Context::default()
        };
        Kubeconfig {
            current_context: Some(name()),
            contexts: vec![NamedContext { name: name(), context: Some(context), ..NamedContext::default() }],
            clusters: vec![NamedCluster { name: name(), cluster: Some(cluster), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo { name: name(), auth_info: Some(user), ..NamedAuthInfo::default() }],
            ..Kubeconfig::default()
        }
    }
}

/// The URL of the API server at this address.
pub(super) fn server(address: SocketAddr) -> String {
    format!("https://{address}")
}

fn fields_of<'a>(list: &'a [Named], name: &str) -> Option<&'a Fields> {
    list.iter().find(|named| named.name == name).map(|named| &named.fields)
}

/// The port of the cluster's server, whose host is of no use outside of the container.
fn port(cluster: &Fields) -> Result<Port, Unfit> {
    let unfit = || Unfit::Malformed { part: "cluster", field: "server" };
    let server = cluster.text("cluster", "server")?.unwrap_or_default();
    let url: http::Uri = server.parse().map_err(|_| unfit())?;
    match url.scheme_str() {
        Some("https") => Port::new(url.port_u16().unwrap_or(443)).ok_or_else(unfit),
        Some("http") => Err(Unfit::Unencrypted),
        _ => Err(unfit()),
    }
}

/// The namespace of the context. It is shown in commands to type, so it has to be one.
fn namespace(context: &Fields) -> Result<String, Unfit> {
    let Some(name) = context.text("context", "namespace")? else { return Ok(DEFAULT_NAMESPACE.to_owned()) };
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.len() <= 63 && name.bytes().all(is_label) {
        Ok(name.to_owned())
    } else {
        Err(Unfit::Malformed { part: "context", field: "namespace" })
    }
}

/// The token, which has to be one that a header can have.
fn token(user: &Fields) -> Result<Option<String>, Unfit> {
    let Some(token) = user.text("user", "token")? else { return Ok(None) };
    if token.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(Some(token.to_owned()))
    } else {
        Err(Unfit::Malformed { part: "user", field: "token" })
    }
}

#[cfg(test)]
mod tests;
