//! Why a stream to a pod does not come about, and why one ends before its time.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portgate_spdy::{SessionError, Status};
use tokio_tungstenite::tungstenite;

use super::PodName;
use super::transport::Transport;
use crate::error::Error as ApiError;

/// Why there is no stream to a pod. Clones are cheap: several streams may wait for one session.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ForwardError {
    /// The API server cannot be reached or does not answer in time, does not accept the credentials, or does not allow
    /// to `create pods/portforward`; or it fails.
    #[error(transparent)]
    Api(Arc<ApiError>),
    /// The pod does not exist, or no more.
    #[error("there is no pod {pod}")]
    NoPod {
        /// Which pod.
        pod: PodName,
    },
    /// The pod has not started, or has ended.
    #[error("pod {pod} is not running: it is {phase}")]
    NotRunning {
        /// Which pod.
        pod: PodName,
        /// The phase that it is in, in Kubernetes' words, such as `Pending`; empty if the API server does not say.
        phase: String,
    },
    /// The API server, or a proxy before it, takes none of the ways that there are.
    #[error("the API server {server} does not take a port-forward: {}", Refusals(refusals))]
    Refused {
        /// The API server.
        server: String,
        /// What was tried, in this order, and what the answer was.
        refusals: Vec<Refusal>,
    },
    /// Session after session was lost just as the stream was to be opened in it.
    #[error("the connection to the API server was lost again and again")]
    Lost,
}

impl ForwardError {
    /// Whether neither waiting nor another pod will help.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Api(error) => match error.as_ref() {
                ApiError::Access(_)
                | ApiError::ServerCertificate { .. }
                | ApiError::ClientCertificate { .. }
                | ApiError::Unauthorized { .. }
                | ApiError::Forbidden { .. } => true,
                ApiError::Unreachable { .. }
                | ApiError::NotFound { .. }
                | ApiError::TooManyRequests { .. }
                | ApiError::Server { .. }
                | ApiError::TooMuch { .. }
                | ApiError::Other { .. } => false,
            },
            Self::Refused { .. } => true,
            Self::NoPod { .. } | Self::NotRunning { .. } | Self::Lost => false,
        }
    }

    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Api(error) => error.hint(),
            Self::NotRunning { pod: PodName { namespace, name }, .. } => {
                Some(format!("`kubectl describe pod {name} -n {namespace}` shows why"))
            }
            Self::Refused { .. } => {
                Some("see whether a proxy stands between, and lets WebSockets pass to the API server".to_owned())
            }
            Self::NoPod { .. } | Self::Lost => None,
        }
    }
}

impl From<ApiError> for ForwardError {
    fn from(error: ApiError) -> Self {
        Self::Api(Arc::new(error))
    }
}

/// The answer to one way that was tried: it is not taken.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Which way.
    pub transport: Transport,
    /// The HTTP status of the answer.
    pub code: u16,
    /// What the answer says, if it says anything.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered with {}", self.transport, self.code)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, " {}", self.message) }
    }
}

struct Refusals<'a>(&'a [Refusal]);

impl fmt::Display for Refusals<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, refusal) in self.0.iter().enumerate() {
            write!(f, "{}{refusal}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

/// Why a stream ended before both sides had ended it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StreamError {
    /// The pod's side reset it.
    #[error("the pod's side reset the stream: {0}")]
    Reset(Status),
    /// The connection that carried it was lost.
    #[error("the connection to the API server was lost")]
    Lost(#[source] Arc<Loss>),
    /// Another part of it was dropped, which ended it.
    #[error("the stream was given up")]
    GivenUp,
    /// This direction was finished before.
    #[error("the stream is finished in this direction")]
    Finished,
    /// The pod's side has left, or the forwarder is gone.
    #[error("the stream is closed")]
    Closed,
}

/// Why a connection that carried streams was lost.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The other side ended it.
    #[error("the other side closed it")]
    Ended,
    /// It broke.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The WebSocket in it broke.
    #[error(transparent)]
    WebSocket(#[from] tungstenite::Error),
    /// What came is not SPDY.
    #[error(transparent)]
    Spdy(#[from] SessionError),
    /// No sign of life within this time.
    #[error("no sign of life within {} s", .0.as_secs())]
    Silent(Duration),
}
