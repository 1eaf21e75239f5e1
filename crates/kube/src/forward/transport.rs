//! The ways to carry a port-forward through an API server, and the request that each begins with.

use std::fmt;

use http::Request;
use http::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use portgate_core::port::Port;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::PodName;
use crate::error::Verb;

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const PORT_FORWARD: HeaderValue = HeaderValue::from_static("portforward.k8s.io");
const TUNNEL: HeaderValue = HeaderValue::from_static("SPDY/3.1+portforward.k8s.io");
const CHANNELS: HeaderValue = HeaderValue::from_static("v4.channel.k8s.io");
const SPDY: HeaderValue = HeaderValue::from_static("SPDY/3.1");
const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A way to carry a port-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// SPDY on the connection itself: every Kubernetes has it; some proxies do not let it pass.
    Spdy,
    /// SPDY in a WebSocket: Kubernetes 1.31 and newer.
    Tunnel,
    /// A WebSocket for each connection, with a channel for data and one for the verdict: from before 1.31, and where nothing
    /// else passes. It has no half-close: once this end has finished, the connection ends as soon as the pod has been
    /// silent for some seconds.
    Channels,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spdy => "SPDY",
            Self::Tunnel => "SPDY in a WebSocket",
            Self::Channels => "a WebSocket",
        })
    }
}

/// A request for an upgrade, unsent, and what tells that it was granted.
pub(super) struct Upgrade {
    pub(super) request: http::Result<Request<Vec<u8>>>,
    pub(super) granted: Granted,
}

/// The headers that an answer has if a request was granted.
#[derive(Clone)]
pub(super) struct Granted(Vec<(HeaderName, HeaderValue)>);

impl Granted {
    /// Whether the request was granted, with status 101 given.
    pub(super) fn is_by(&self, headers: &HeaderMap) -> bool {
        self.0.iter().all(|(name, value)| {
            // The name of a protocol may be written in either case; where it may not, it makes no difference.
            headers.get(name).is_some_and(|other| other.as_bytes().eq_ignore_ascii_case(value.as_bytes()))
        })
    }
}

impl Transport {
    /// Asks for a port-forward to a pod. The port is needed, and used, by channels only.
    pub(super) fn upgrade(self, pod: &PodName, port: Option<Port>) -> Upgrade {
        let PodName { namespace, name } = pod;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/portforward");
        match self {
            Self::Spdy => {
                let request = Request::post(path).header(CONNECTION, UPGRADE.as_str()).header(UPGRADE, SPDY);
                let request = request.header(STREAM_PROTOCOL, PORT_FORWARD).body(Vec::new());
                Upgrade { request, granted: Granted(vec![(UPGRADE, SPDY), (STREAM_PROTOCOL, PORT_FORWARD)]) }
            }
            Self::Tunnel => websocket(&path, TUNNEL),
            Self::Channels => {
                let query = port.map(|port| format!("?ports={port}")).unwrap_or_default();
                websocket(&format!("{path}{query}"), CHANNELS)
            }
        }
    }

    /// The verb that its request needs. Since Kubernetes 1.35 every one needs `create` as well.
    pub(super) fn verb(self) -> Verb {
        match self {
            Self::Spdy => Verb::Create,
            Self::Tunnel | Self::Channels => Verb::Get,
        }
    }
}

fn websocket(path: &str, protocol: HeaderValue) -> Upgrade {
    let key = generate_key();
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let request = Request::get(path)
        .header(CONNECTION, UPGRADE.as_str())
        .header(UPGRADE, WEBSOCKET)
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, key)
        .header(SEC_WEBSOCKET_PROTOCOL, protocol.clone())
        .body(Vec::new());
    let mut granted = vec![(UPGRADE, WEBSOCKET), (SEC_WEBSOCKET_PROTOCOL, protocol)];
    // Base64 is always a value that a header can have.
    granted.extend(accept.ok().map(|accept| (SEC_WEBSOCKET_ACCEPT, accept)));
    Upgrade { request, granted: Granted(granted) }
}
