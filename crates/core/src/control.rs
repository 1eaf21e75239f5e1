//! What the CLI and a gate say to each other: one JSON object a line, each [`Request`] answered by one [`Response`].

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kubernetes::Objects;
use crate::mapping::{Local, Mapping};
use crate::state::NodeHost;
use crate::status::GateStatus;
use crate::table::OwnAddresses;

/// What the CLI asks of a gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// How are you?
    Status {
        /// How much is to be told.
        #[serde(default)]
        detail: Detail,
    },
    /// Change the wanted mappings.
    Change(Change),
    /// Forget every mapping and accept no further change: the gate is about to be removed.
    Retire {
        /// The revision that the CLI saw.
        revision: u64,
    },
    /// Try the way from the gate to a mapping's backends.
    Probe(Probe),
    /// Drain and end. For gates in process placement; a container is stopped through Docker.
    Stop,
}

/// How much a gate is to tell of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// All.
    #[default]
    Whole,
    /// Not what the kernel carries at the moment: to count that, it goes through the flows of the whole machine, which
    /// takes it more than ten milliseconds.
    Brief,
}

/// A change of the wanted mappings, all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The revision that the change was made for.
    pub revision: u64,
    /// Mappings to add; one with the same local end is replaced.
    pub open: Vec<Mapping>,
    /// Mappings to drop. One that is not there is no error.
    pub close: Vec<Local>,
    /// The cluster's nodes, where they are not those that the gate knows.
    pub nodes: Option<Vec<NodeHost>>,
    /// What is known of the Kubernetes objects that the new mappings name.
    #[serde(default)]
    pub objects: Objects,
    /// The addresses of the user's machine, where they are not those that the gate knows.
    #[serde(default)]
    pub machine: Option<OwnAddresses>,
}

/// A trial of the way from the gate to a mapping's backends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The mapping.
    pub local: Local,
    /// What to send to a UDP backend. TCP sends nothing.
    pub datagram: Vec<u8>,
    /// How long to wait for a connection, or for a UDP backend's reply.
    pub timeout: Duration,
}

/// A gate's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "kebab-case")]
pub enum Response {
    /// To [`Request::Status`].
    Status(GateStatus),
    /// To [`Request::Change`], [`Request::Retire`] and [`Request::Stop`]: done, and this is the revision now.
    Done {
        /// The revision after the change.
        revision: u64,
        /// Why the state file does not hold it yet, if it does not: a gate that is started again would do what it did
        /// before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unsaved: Option<String>,
    },
    /// To [`Request::Probe`], a result for each backend; none where the target has no backend.
    Probed {
        /// In the order in which the relay would try them.
        results: Vec<ProbeResult>,
    },
    /// The request was not carried out, and nothing changed.
    Refused(Refusal),
}

/// What a probe of one backend found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// The container that was probed.
    pub node: String,
    /// Its address and port.
    pub address: std::net::SocketAddr,
    /// What came of it.
    pub outcome: ProbeOutcome,
    /// How long that took.
    pub elapsed: Duration,
}

/// What came of the probe of one backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum ProbeOutcome {
    /// TCP: connected. UDP: a reply came.
    Answered,
    /// UDP: sent, and neither a reply nor a refusal came. UDP gives no proof.
    Silent,
    /// TCP: connection refused. UDP: ICMP port unreachable. Nothing listens there.
    Refused,
    /// TCP: no answer in time.
    TimedOut,
    /// Anything else.
    Failed {
        /// The operating system's words.
        message: String,
    },
}

impl ProbeOutcome {
    /// Whether the backend may be in order: it answered, or is UDP and silent.
    pub fn is_good(&self) -> bool {
        matches!(self, Self::Answered | Self::Silent)
    }
}

/// Why a gate did not do as it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "kebab-case")]
pub enum Refusal {
    /// Another writer came first.
    #[error("the gate's mappings changed meanwhile (now at revision {revision})")]
    Stale {
        /// The revision now.
        revision: u64,
    },
    /// The gate is about to be removed.
    #[error("the gate is being removed")]
    Retired,
    /// The gate has no such mapping.
    #[error("{local} is not open")]
    NotOpen {
        /// What was asked for.
        local: Local,
    },
    /// The gate could not listen.
    #[error("cannot listen on {address} for {local}: {message}")]
    Bind {
        /// The mapping.
        local: Local,
        /// The socket address that was refused.
        address: std::net::SocketAddr,
        /// The operating system's words.
        message: String,
    },
    /// The gate could not write its state file.
    #[error("cannot save the gate's state: {message}")]
    State {
        /// The operating system's words.
        message: String,
    },
    /// The request was not understood: the CLI is of another version than the gate.
    #[error("the gate does not understand the request: {message}")]
    Malformed {
        /// What the parser said.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_json_objects_with_a_tag() {
        let request = Request::Retire { revision: 7 };
        let text = serde_json::to_string(&request).unwrap();
        assert_eq!(text, r#"{"request":"retire","revision":7}"#);
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);

        let all = serde_json::from_str::<Request>(r#"{"request":"status"}"#).unwrap();
        assert_eq!(all, Request::Status { detail: Detail::Whole });

        let response = Response::Refused(Refusal::Stale { revision: 8 });
        let text = serde_json::to_string(&response).unwrap();
        assert_eq!(text, r#"{"response":"refused","refusal":"stale","revision":8}"#);
        assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response);
    }
}
