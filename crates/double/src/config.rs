//! How a double is to be.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a double is to be. As JSON, every field may be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the API is served. Default: 127.0.0.1 and a free port.
    pub listen: SocketAddr,
    /// Where the control endpoint is served, in plain HTTP. Default: nowhere.
    pub control: Option<SocketAddr>,
    /// The DNS names and IP addresses in the server's certificate. Default: localhost.
    pub names: Vec<String>,
    /// Who is let in. Default: who has the kubeconfig's client certificate.
    pub authentication: Authentication,
    /// The name of everybody who is let in. Default: `dev`.
    pub user: String,
    /// The name of the kubeconfig's context. Default: `k3d-double`.
    pub context: String,
    /// Whether the server's certificate is one that has expired. Default: no.
    pub expired: bool,
    /// How often a watch gets a bookmark that wants them. Default: once a minute.
    pub bookmarks: Duration,
    /// Which transports of port-forwards are served. Default: all.
    pub transports: Transports,
    /// What there is at first. Default: what was recorded.
    pub objects: Objects,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            control: None,
            names: ["127.0.0.1", "::1", "localhost"].map(str::to_owned).into(),
            authentication: Authentication::default(),
            user: "dev".to_owned(),
            context: "k3d-double".to_owned(),
            expired: false,
            bookmarks: Duration::from_mins(1),
            transports: Transports::default(),
            objects: Objects::default(),
        }
    }
}

/// Who is let in: who has one of these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authentication {
    /// The client certificate, which is then in the kubeconfig. Default: yes.
    pub certificate: bool,
    /// This bearer token, which is then in the kubeconfig. Default: none.
    pub token: Option<String>,
    /// Nothing at all. Default: no.
    pub anonymous: bool,
}

impl Default for Authentication {
    fn default() -> Self {
        Self { certificate: true, token: None, anonymous: false }
    }
}

/// Which transports of port-forwards are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transports {
    /// SPDY in a WebSocket: the subprotocol `SPDY/3.1+portforward.k8s.io`, from Kubernetes 1.30 on.
    pub tunnel: Transport,
    /// SPDY: `Upgrade: SPDY/3.1`.
    pub spdy: Transport,
    /// A WebSocket with two channels for each port: the subprotocols `v4.channel.k8s.io` and `v4.base64.channel.k8s.io`.
    pub channels: Transport,
}

/// What becomes of a request for a transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// It is served.
    #[default]
    Served,
    /// 400, as from a server that does not know it: an older one takes a tunnel for a request for channels.
    BadRequest,
    /// 403, as from a server with which no protocol can be agreed on.
    Forbidden,
    /// 400, as from a server behind a proxy that has stripped the request of its upgrade.
    Stripped,
}

/// What there is at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objects {
    /// What was recorded from a Kubernetes 1.36: Services `echo` and `internal` in namespace `backend`, their
    /// `EndpointSlices`, the Pod behind both, its Deployment and `ReplicaSet`, and a Node; and the usual namespaces.
    #[default]
    Recorded,
    /// Nothing.
    None,
}
