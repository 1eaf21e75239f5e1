//! Trying the way to open ports, hop by hop: from the host to the gate, and from the gate to the backends.
//!
//! A connection to a published port proves little: Docker's port proxy accepts it before it asks the gate. So a trial
//! counts as good only once the gate itself has counted the connection as one that reached a backend.

mod exchange;
mod run;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use portgate_core::control::ProbeOutcome;
use portgate_core::mapping::{Local, Target};
use portgate_core::status::MappingStatus;
use serde::{Serialize, Serializer};

pub(crate) use exchange::Exchange;
pub(crate) use run::{Method, run};

/// What came of trying one mapping.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Trial {
    /// The near end.
    pub(crate) local: Local,
    /// The far end.
    pub(crate) target: Target,
    /// The outcome.
    pub(crate) verdict: Verdict,
    /// Each hop that was tried.
    pub(crate) hops: Vec<Hop>,
    /// Why there was nothing to try, or what the gate says of the failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// What the target answered, if it was asked something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
}

/// The outcome of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// A backend answered.
    Ok,
    /// UDP: a datagram was sent, and neither a reply nor a refusal came.
    Silent,
    /// No backend can be reached.
    Broken,
}

impl Verdict {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Silent => "silent",
            Self::Broken => "broken",
        }
    }
}

/// One hop of the way.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Hop {
    /// From where it was tried.
    pub(crate) from: From,
    /// Where it leads: a host address, or a backend.
    pub(crate) address: SocketAddr,
    /// The backend's container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<String>,
    /// What came of it.
    #[serde(flatten)]
    pub(crate) outcome: ProbeOutcome,
    /// How long that took, in seconds.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub(crate) elapsed: Duration,
}

/// Where a hop begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum From {
    /// This machine.
    Host,
    /// The gate.
    Gate,
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// `0.42 ms`
fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

impl Trial {
    /// A mapping that is not to be tried, for this reason.
    pub(crate) fn impossible(mapping: &MappingStatus, reason: String) -> Self {
        Self { reason: Some(reason), ..Self::new(mapping) }
    }

    /// A mapping that was not tried yet.
    fn new(mapping: &MappingStatus) -> Self {
        Self {
            local: mapping.local.clone(),
            target: mapping.target.clone(),
            verdict: Verdict::Broken,
            hops: Vec::new(),
            reason: None,
            answer: None,
        }
    }

    /// The outcome in a few words: the hop that is broken, or the one that proves the way.
    pub(crate) fn summary(&self) -> String {
        if let Some(reason) = &self.reason {
            return reason.clone();
        }
        let telling = match self.verdict {
            // What the gate finds is nearer to the cause.
            Verdict::Broken => self.hops.iter().rev().find(|hop| !hop.outcome.is_good()),
            Verdict::Ok => self.hops.iter().rev().find(|hop| hop.outcome == ProbeOutcome::Answered),
            Verdict::Silent => self.hops.iter().find(|hop| hop.outcome == ProbeOutcome::Silent),
        };
        telling.map_or_else(|| "not tried".to_owned(), ToString::to_string)
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.node {
            Some(node) => format!("{node} ({})", self.address),
            None => self.address.to_string(),
        };
        match &self.outcome {
            ProbeOutcome::Answered => write!(f, "{place} answers in {}", milliseconds(self.elapsed)),
            ProbeOutcome::Silent => {
                write!(f, "sent to {place}, no reply in {:.1} s: UDP gives no proof", self.elapsed.as_secs_f64())
            }
            ProbeOutcome::Refused => write!(f, "{place} refuses: nothing listens there"),
            ProbeOutcome::TimedOut => write!(f, "{place} does not answer in {:.1} s", self.elapsed.as_secs_f64()),
            ProbeOutcome::Failed { message } => write!(f, "{place}: {message}"),
        }
    }
}
