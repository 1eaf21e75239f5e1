//! Why a request to an API server came to nothing.
//!
//! The cases are told apart by what is typed: HTTP status, operating system's error, TLS alert. What was refused is not
//! read from the answer, because it is known who asked for what.

mod cause;
mod hint;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kube::core::Status;
use portgate_core::limits::Limit;

pub use cause::Cause;
use cause::Fault;

use crate::access::{self, Access, Source};
use crate::answer::cut;
use crate::objects::Unread;
use crate::resource::{Resource, Selection};

/// What may be done to a resource, in the words of RBAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Read one.
    Get,
    /// Read all that are selected.
    List,
    /// Follow the changes of all that are selected.
    Watch,
    /// Make one.
    Create,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
        })
    }
}

/// A request, in words: `list endpointslices.discovery.k8s.io in namespace shop`.
#[derive(Clone, Debug)]
pub struct Call {
    /// What was to be done.
    pub verb: Verb,
    /// To what; none for the server's own version.
    pub resource: Option<Resource>,
    /// In which namespace; none if in all, or if the resource belongs to none.
    pub namespace: Option<String>,
    /// With which credentials, and which server was asked.
    pub access: Arc<Access>,
}

impl Call {
    /// A request for these objects.
    pub(crate) fn of(verb: Verb, selection: &Selection, access: &Arc<Access>) -> Self {
        let Selection { resource, namespace, by: _ } = selection.clone();
        Self { verb, resource: Some(resource), namespace, access: Arc::clone(access) }
    }

    fn server(&self) -> &str {
        self.access.server()
    }

    fn source(&self) -> &Source {
        self.access.source()
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(resource) = self.resource else { return write!(f, "{} the version", self.verb) };
        write!(f, "{} {resource}", self.verb)?;
        match &self.namespace {
            Some(namespace) => write!(f, " in namespace {namespace}"),
            None if resource.is_namespaced() => f.write_str(" in all namespaces"),
            None => Ok(()),
        }
    }
}

/// What is wrong with the API server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It has expired.
    Expired,
    /// It will be valid later.
    NotYetValid,
    /// It is not signed by whom the credentials trust.
    NotTrusted,
    /// It is for a server of another name or address.
    WrongName,
}

impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired",
            Self::NotYetValid => "is not valid yet",
            Self::NotTrusted => "is not trusted",
            Self::WrongName => "is for another name",
        })
    }
}

/// What is wrong with the client's own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// It has expired.
    Expired,
    /// The server does not accept it.
    Rejected,
}

impl fmt::Display for ClientFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "has expired",
            Self::Rejected => "is not accepted",
        })
    }
}

/// Why a request came to nothing. Every text names the server and the credentials.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The credentials could not be read anew, or not be renewed.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The server does not answer: refused, timed out, no route, no such name, broken off.
    #[error("cannot {call}: the API server {} cannot be reached ({})", call.server(), call.source())]
    Unreachable {
        /// What was asked for.
        call: Box<Call>,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The server does not prove to be the one that is meant.
    #[error("cannot {call}: the certificate of the API server {} {fault} ({})", call.server(), call.source())]
    ServerCertificate {
        /// What was asked for.
        call: Box<Call>,
        /// What is wrong with the certificate.
        fault: ServerFault,
    },
    /// The client does not prove to be the user.
    #[error("cannot {call}: the client certificate {fault} ({}, API server {})", call.source(), call.server())]
    ClientCertificate {
        /// What was asked for.
        call: Box<Call>,
        /// What is wrong with the certificate.
        fault: ClientFault,
    },
    /// The server does not accept the credentials, as after a token has expired.
    #[error("cannot {call}: the API server {} does not accept the credentials ({})", call.server(), call.source())]
    Unauthorized {
        /// What was asked for.
        call: Box<Call>,
    },
    /// The server knows the user, who lacks the right.
    #[error("cannot {call}: the API server {} forbids it ({})", call.server(), call.source())]
    Forbidden {
        /// What was asked for.
        call: Box<Call>,
    },
    /// The server does not have what was asked for.
    #[error("cannot {call}: the API server {} does not know that ({})", call.server(), call.source())]
    NotFound {
        /// What was asked for.
        call: Box<Call>,
    },
    /// The server has too much to do.
    #[error("cannot {call}: the API server {} has too many requests ({})", call.server(), call.source())]
    TooManyRequests {
        /// What was asked for.
        call: Box<Call>,
    },
    /// The server answered with another error.
    #[error("cannot {call}: the API server {} answers {code} {message} ({})", call.server(), call.source())]
    Server {
        /// What was asked for.
        call: Box<Call>,
        /// The HTTP status.
        code: u16,
        /// The server's words.
        message: String,
    },
    /// The server sends more than is taken.
    #[error("cannot {call}: the answer of the API server {} exceeds the limit of {limit} ({})", call.server(), call.source())]
    TooMuch {
        /// What was asked for.
        call: Box<Call>,
        /// Of what there is too much.
        limit: Limit,
    },
    /// The answer was not understood.
    #[error("cannot {call}: the API server {} is not understood ({})", call.server(), call.source())]
    Other {
        /// What was asked for.
        call: Box<Call>,
        /// The cause.
        #[source]
        source: Cause,
    },
}

impl Error {
    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        hint::of(self)
    }

    /// The failure of this request; `plugin` is the command of the credential plugin.
    pub(crate) fn of(call: Call, error: kube::Error, plugin: Option<&str>) -> Self {
        match Fault::of(error) {
            Fault::Status(status) => Self::of_status(call, &status),
            Fault::Credentials(error) => Self::Access(access::Error::of_client(error, call.source(), plugin)),
            Fault::Server(fault) => Self::ServerCertificate { call: Box::new(call), fault },
            Fault::Client(fault) => Self::ClientCertificate { call: Box::new(call), fault },
            Fault::TooMuch(limit) => Self::too_much(call, limit),
            Fault::Transport(source) => Self::Unreachable { call: Box::new(call), source },
            Fault::Other(source) => Self::Other { call: Box::new(call), source },
        }
    }

    /// The refusal of this request.
    pub(crate) fn of_status(call: Call, status: &Status) -> Self {
        let call = Box::new(call);
        match status.code {
            401 => Self::Unauthorized { call },
            403 => Self::Forbidden { call },
            404 => Self::NotFound { call },
            429 => Self::TooManyRequests { call },
            code => Self::Server { call, code, message: cut(&status.message) },
        }
    }

    /// No answer within `limit`.
    pub(crate) fn late(call: Call, limit: Duration) -> Self {
        Self::Unreachable { call: Box::new(call), source: Cause::Late(limit) }
    }

    /// More than is taken.
    pub(crate) fn too_much(call: Call, limit: Limit) -> Self {
        Self::TooMuch { call: Box::new(call), limit }
    }

    /// An answer that was not read.
    pub(crate) fn of_unread(call: Call, unread: Unread) -> Self {
        match unread {
            Unread::Malformed(error) => Self::Other { call: Box::new(call), source: Cause::Answer(error) },
            Unread::TooMuch(limit) => Self::too_much(call, limit),
        }
    }

    /// Whether every other request would fail for the same reason.
    pub(crate) fn is_of_server(&self) -> bool {
        match self {
            Self::Forbidden { .. } | Self::NotFound { .. } | Self::TooMuch { .. } | Self::Other { .. } => false,
            Self::Access(_)
            | Self::Unreachable { .. }
            | Self::ServerCertificate { .. }
            | Self::ClientCertificate { .. }
            | Self::Unauthorized { .. }
            | Self::TooManyRequests { .. }
            | Self::Server { .. } => true,
        }
    }

    /// Whether the server has forgotten what the request is about: a place in a list, or in the course of changes.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Server { code: 410, .. })
    }
}

#[cfg(test)]
mod tests;
