//! One request to the engine: its bound in time, and what may come of it.

use std::fmt;
use std::time::Duration;

use bollard::errors::Error as ClientError;

/// For questions, which an engine answers from memory.
pub(crate) const QUESTION: Duration = Duration::from_secs(10);

/// For changes, which touch the disk, the firewall and the kernel. A busy engine takes some seconds.
pub(crate) const CHANGE: Duration = Duration::from_mins(1);

/// For what lasts as long as the user wants.
pub(crate) const FOREVER: Duration = Duration::MAX;

/// For an image of some MiB on its way through a slow link or onto a slow disk.
pub(crate) const TRANSFER: Duration = Duration::from_mins(3);

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The engine answered with an error status.
    #[error("{action}: {message}")]
    Refused {
        /// What was asked for.
        action: Action,
        /// The HTTP status.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// The engine began, and then reported a failure.
    #[error("{action}: {message}")]
    Failed {
        /// What was asked for.
        action: Action,
        /// The engine's words.
        message: String,
    },
    /// The engine did not answer in time.
    #[error("{action}: no answer from the Docker engine within {} s", limit.as_secs())]
    TimedOut {
        /// What was asked for.
        action: Action,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The request did not reach the engine, or its answer was not understood.
    #[error("{action}")]
    Broken {
        /// What was asked for.
        action: Action,
        /// The cause.
        #[source]
        source: Box<ClientError>,
    },
}

impl Error {
    /// The HTTP status, where the engine answered with an error.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Failed { .. } | Self::TimedOut { .. } | Self::Broken { .. } => None,
        }
    }

    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::TimedOut { .. } => "the engine is overloaded or stuck: see whether `docker ps` answers",
            Self::Broken { .. } => "see whether the engine still runs: `docker version`",
            Self::Refused { .. } | Self::Failed { .. } => return None,
        };
        Some(text.to_owned())
    }
}

/// An operation and its object: `create container k3d-mycluster-portgate`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The operation.
    pub operation: &'static str,
    /// The name of what it is done to; empty where the operation says it all.
    pub object: String,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.operation)?;
        if self.object.is_empty() { Ok(()) } else { write!(f, " {}", self.object) }
    }
}

/// A request that is about to be made.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    action: Action,
    limit: Duration,
}

impl Call {
    /// A request that may take `limit` at most.
    pub(crate) fn new(operation: &'static str, object: impl Into<String>, limit: Duration) -> Self {
        Self { action: Action { operation, object: object.into() }, limit }
    }

    /// Makes the request, and gives its failure the name of what was asked for.
    pub(crate) async fn make<T>(self, request: impl Future<Output = Result<T, ClientError>>) -> Result<T, Error> {
        match tokio::time::timeout(self.limit, request).await {
            Ok(result) => result.map_err(|error| self.failure(error)),
            Err(_) => Err(Error::TimedOut { action: self.action, limit: self.limit }),
        }
    }

    /// The failure of this request.
    pub(crate) fn failure(self, error: ClientError) -> Error {
        let action = self.action;
        match error {
            ClientError::DockerResponseServerError { status_code: status, message } => {
                Error::Refused { action, status, message }
            }
            ClientError::DockerStreamError { error: message } => Error::Failed { action, message },
            source => Error::Broken { action, source: Box::new(source) },
        }
    }
}

/// Whether the engine does not know the object.
pub(crate) fn is_missing(error: &Error) -> bool {
    error.status() == Some(404)
}

/// Whether the engine refused because of the object's state: in use, taken, not running.
pub(crate) fn is_conflict(error: &Error) -> bool {
    error.status() == Some(409)
}
