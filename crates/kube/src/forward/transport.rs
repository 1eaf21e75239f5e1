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
    /// A WebSocket for each connection, with a channel for data and one for the verdict: from before 1.31, and where
    /// nothing else passes. It has no half-close: once this end has finished, the connection ends as soon as the pod
    /// has been silent for some seconds.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    /// What kubectl and an API server 1.36 said to each other, from the beginning.
    const SPDY_RECORD: &str = include_str!("../../../double/fixtures/upgrade-spdy.jsonl");
    const TUNNEL_RECORD: &str = include_str!("../../../double/fixtures/websocket-spdy.jsonl");

    fn pod() -> PodName {
        PodName { namespace: "backend".to_owned(), name: "echo-6d4f68dbd7-k8vdx".to_owned() }
    }

    /// The first line and the headers of what this side said first.
    fn recorded(record: &str, side: &str) -> (String, BTreeMap<String, String>) {
        let entries = record.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let entry = entries.into_iter().find(|entry| entry["dir"] == side).unwrap();
        let hex = entry["hex"].as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let text = String::from_utf8((0..hex.len()).step_by(2).map(byte).collect()).unwrap();
        let mut lines = text.split("\r\n").take_while(|line| !line.is_empty());
        let first = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap());
        (first, headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
    }

    /// Headers that are of no use here: which program asks, and what it is free to choose.
    fn is_own(name: &str) -> bool {
        ["host", "user-agent", "kubectl-command", "kubectl-session", "content-length", "sec-websocket-key"]
            .contains(&name)
    }

    fn assert_as_recorded(transport: Transport, record: &str) {
        let Upgrade { request, granted } = transport.upgrade(&pod(), None);
        let request = request.unwrap();
        let (first, headers) = recorded(record, "client");
        assert_eq!(format!("{} {} HTTP/1.1", request.method(), request.uri()), first);
        let text = |value: &HeaderValue| value.to_str().unwrap().to_lowercase();
        let ours: BTreeMap<_, _> =
            request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        for (name, value) in headers.iter().filter(|(name, _)| !is_own(name)) {
            assert_eq!(ours.get(name), Some(&value.to_lowercase()), "{name}");
        }
        let (_, answer) = recorded(record, "server");
        let mut answer: HeaderMap =
            answer.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        if let Some(accept) = granted.0.iter().find(|(name, _)| *name == SEC_WEBSOCKET_ACCEPT) {
            assert!(!granted.is_by(&answer), "it answers another request");
            answer.insert(SEC_WEBSOCKET_ACCEPT, accept.1.clone());
        }
        assert!(granted.is_by(&answer), "{answer:?}");
        answer.remove(UPGRADE);
        assert!(!granted.is_by(&answer));
    }

    #[test]
    fn spdy_is_asked_for_as_kubectl_does_and_granted_as_the_server_does() {
        assert_as_recorded(Transport::Spdy, SPDY_RECORD);
    }

    #[test]
    fn a_tunnel_is_asked_for_as_kubectl_does_and_granted_as_the_server_does() {
        assert_as_recorded(Transport::Tunnel, TUNNEL_RECORD);
    }

    #[test]
    fn channels_name_their_port() {
        let port = Port::new(80).unwrap();
        let request = Transport::Channels.upgrade(&pod(), Some(port)).request.unwrap();
        assert_eq!(request.uri(), "/api/v1/namespaces/backend/pods/echo-6d4f68dbd7-k8vdx/portforward?ports=80");
        assert_eq!(request.headers()[SEC_WEBSOCKET_PROTOCOL], CHANNELS);
    }
}
