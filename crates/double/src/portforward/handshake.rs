//! The upgrade of a request to a transport of port-forwards, and its refusal.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::{Response, StatusCode};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::answer::{self, Answer};
use crate::config::{Transport, Transports};
use crate::status::Status;

/// What RFC 6455 has appended to a key before it is hashed.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The one protocol of port-forwards over SPDY.
const PORT_FORWARD: &str = "portforward.k8s.io";

/// What a WebSocket's subprotocol begins with that tunnels SPDY.
const TUNNEL: &str = "SPDY/3.1+";

/// The subprotocols of channels, and whether they are in base64. None at all stands for the first.
const CHANNELS: [(&str, bool); 3] = [("", false), ("v4.channel.k8s.io", false), ("v4.base64.channel.k8s.io", true)];

const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_STREAM_PROTOCOLS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");
const WEBSOCKET_PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");

/// The transport that a session has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// SPDY, in a WebSocket or not.
    Spdy { websocket: bool },
    /// Two channels of a WebSocket for each port.
    Channels { base64: bool, ports: Vec<u16> },
}

/// The upgrade that a client offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    WebSocket { key: String, protocols: Vec<String> },
    Spdy { protocols: Vec<String> },
}

/// What comes of an offer: a session and the answer that begins it, or the answer that refuses it.
type Outcome = Result<(Form, Answer), Answer>;

/// The answer to a request that offers no upgrade, as the API server gives it.
pub(crate) fn not_an_upgrade() -> Status {
    Status::bad_request("Upgrade request required")
}

impl Offer {
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        if !values(headers, &CONNECTION).iter().any(|value| value.eq_ignore_ascii_case("upgrade")) {
            return None;
        }
        let upgrade = values(headers, &UPGRADE);
        if upgrade.iter().any(|value| value.eq_ignore_ascii_case("websocket")) {
            let key = values(headers, &WEBSOCKET_KEY).into_iter().next()?;
            Some(Self::WebSocket { key, protocols: values(headers, &WEBSOCKET_PROTOCOL) })
        } else if upgrade.iter().any(|value| value.eq_ignore_ascii_case("SPDY/3.1")) {
            Some(Self::Spdy { protocols: values(headers, &STREAM_PROTOCOL) })
        } else {
            None
        }
    }

    /// Takes the offer up, as far as its transport is served.
    pub(crate) fn accept(&self, served: Transports, ports: &[String]) -> Result<Outcome, Status> {
        match self {
            Self::Spdy { protocols } => spdy(served.spdy, protocols),
            Self::WebSocket { key, protocols } => {
                let tunnelled: Vec<String> =
                    protocols.iter().filter_map(|protocol| protocol.strip_prefix(TUNNEL)).map(str::to_owned).collect();
                if tunnelled.is_empty() || served.tunnel == Transport::BadRequest {
                    // A server that knows no tunnels takes this for channels, and misses the ports.
                    channels(served.channels, key, protocols, ports)
                } else {
                    tunnel(served.tunnel, key, &tunnelled)
                }
            }
        }
    }
}

fn spdy(served: Transport, protocols: &[String]) -> Result<Outcome, Status> {
    match served {
        Transport::Stripped => return Err(not_an_upgrade()),
        Transport::BadRequest => {
            return Ok(Err(answer::text(
                StatusCode::BAD_REQUEST,
                "unable to upgrade: missing upgrade headers in request",
            )));
        }
        Transport::Forbidden => return Ok(Err(no_common_protocol(protocols, &[]))),
        Transport::Served => {}
    }
    if protocols.is_empty() {
        let missing = "unable to upgrade: X-Stream-Protocol-Version is required";
        return Ok(Err(answer::text(StatusCode::BAD_REQUEST, missing)));
    }
    if !protocols.iter().any(|protocol| protocol == PORT_FORWARD) {
        return Ok(Err(no_common_protocol(protocols, &[PORT_FORWARD])));
    }
    let mut answer = switching("SPDY/3.1");
    answer.headers_mut().insert(STREAM_PROTOCOL, HeaderValue::from_static(PORT_FORWARD));
    Ok(Ok((Form::Spdy { websocket: false }, answer)))
}

fn tunnel(served: Transport, key: &str, protocols: &[String]) -> Result<Outcome, Status> {
    match served {
        Transport::Stripped => return Err(not_an_upgrade()),
        Transport::Forbidden => return Ok(Err(no_common_protocol(protocols, &[]))),
        Transport::BadRequest | Transport::Served => {}
    }
    if !protocols.iter().any(|protocol| protocol == PORT_FORWARD) {
        return Ok(Err(no_common_protocol(protocols, &[PORT_FORWARD])));
    }
    Ok(Ok((Form::Spdy { websocket: true }, websocket(key, &format!("{TUNNEL}{PORT_FORWARD}"))?)))
}

fn channels(served: Transport, key: &str, protocols: &[String], ports: &[String]) -> Result<Outcome, Status> {
    if served == Transport::Stripped {
        return Err(not_an_upgrade());
    }
    let ports = match parse_ports(ports) {
        Ok(ports) if served != Transport::BadRequest => ports,
        Ok(_) => return Ok(Err(answer::text(StatusCode::BAD_REQUEST, "unable to upgrade"))),
        Err(why) => return Ok(Err(answer::text(StatusCode::BAD_REQUEST, &why))),
    };
    let none = [String::new()];
    let wanted = if protocols.is_empty() { &none } else { protocols };
    let common = wanted.iter().find_map(|protocol| CHANNELS.into_iter().find(|(known, _)| known == protocol));
    let Some((protocol, base64)) = common.filter(|_| served != Transport::Forbidden) else {
        let known = CHANNELS.map(|(protocol, _)| protocol).join(" ");
        let wanted = wanted.join(" ");
        let why = format!("requested protocol(s) are not supported: [{wanted}]; supports [{known}]");
        return Ok(Err(answer::text(StatusCode::FORBIDDEN, &why)));
    };
    Ok(Ok((Form::Channels { base64, ports }, websocket(key, protocol)?)))
}

/// The ports of a query; an empty list of them is none that the kubelet takes.
fn parse_ports(ports: &[String]) -> Result<Vec<u16>, String> {
    if ports.is_empty() {
        return Err("query parameter \"port\" is required".to_owned());
    }
    let parse = |port: &str| match port.parse() {
        Ok(0) => Err(format!("port {port:?} must be > 0")),
        Ok(number) => Ok(number),
        Err(_) => Err(format!("unable to parse {port:?} as a port: invalid syntax")),
    };
    ports.iter().flat_map(|ports| ports.split(',')).map(parse).collect()
}

fn no_common_protocol(client: &[String], server: &[&str]) -> Answer {
    let (client, known) = (client.join(" "), server.join(" "));
    let why = format!(
        "unable to upgrade: unable to negotiate protocol: client supports [{client}], server accepts [{known}]"
    );
    let mut answer = answer::text(StatusCode::FORBIDDEN, &why);
    if let Ok(known) = HeaderValue::from_str(&known) {
        answer.headers_mut().insert(ACCEPTED_STREAM_PROTOCOLS, known);
    }
    answer
}

fn websocket(key: &str, protocol: &str) -> Result<Answer, Status> {
    let mut answer = switching("websocket");
    let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{WEBSOCKET_GUID}").as_bytes());
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Status::internal("a header has no such value"));
    answer.headers_mut().insert(WEBSOCKET_ACCEPT, value(&STANDARD.encode(hash))?);
    if !protocol.is_empty() {
        answer.headers_mut().insert(WEBSOCKET_PROTOCOL, value(protocol)?);
    }
    Ok(answer)
}

fn switching(protocol: &'static str) -> Answer {
    let mut answer = Response::new(answer::whole(""));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// The values of a header that lists them, or that is there several times.
fn values(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
        .collect()
}
