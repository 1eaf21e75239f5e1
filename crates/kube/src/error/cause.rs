//! What is behind an error of the client.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use kube::client::AuthError;
use kube::core::Status;
use portgate_core::limits::{API_CONNECT, API_HEAD, Limit};
use rustls::{AlertDescription, CertificateError};
use tokio::time::error::Elapsed;

use super::{ClientFault, ServerFault};

/// The innermost cause of a failure: the errors around it only say that there is one.
#[derive(Debug)]
pub enum Cause {
    /// An error of the client.
    Client(Box<kube::Error>),
    /// A part of an answer that is not what the API writes.
    Answer(serde_json::Error),
    /// No answer for so long.
    Late(Duration),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(error) => fmt::Display::fmt(innermost(error.as_ref()), f),
            Self::Answer(error) => error.fmt(f),
            Self::Late(limit) => write!(f, "no answer within {} s", limit.as_secs()),
        }
    }
}

impl StdError for Cause {}

/// What kind of failure it is.
pub(super) enum Fault {
    /// An answer with an error status.
    Status(Box<Status>),
    /// The credentials could not be renewed.
    Credentials(kube::Error),
    Server(ServerFault),
    Client(ClientFault),
    /// The server sends more than is taken.
    TooMuch(Limit),
    /// The connection was not made, or it broke.
    Transport(Cause),
    Other(Cause),
}

impl Fault {
    pub(super) fn of(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::Status(status),
            kube::Error::Auth(_) => Self::Credentials(error),
            kube::Error::Service(source) => match source.downcast::<AuthError>() {
                Ok(error) => Self::Credentials(kube::Error::Auth(*error)),
                Err(source) => Self::of_transport(kube::Error::Service(source)),
            },
            kube::Error::HyperError(_) | kube::Error::ReadEvents(_) => Self::of_transport(error),
            error => Self::Other(Cause::Client(Box::new(error))),
        }
    }

    fn of_transport(error: kube::Error) -> Self {
        let is_head = |error: &hyper::Error| error.is_parse_too_large();
        if chain(&error).filter_map(<Link>::downcast_ref).any(is_head) {
            return Self::TooMuch(API_HEAD);
        }
        let tls = chain(&error).find_map(|cause| cause.downcast_ref::<rustls::Error>());
        match tls {
            Some(rustls::Error::InvalidCertificate(error)) => Self::Server(server_fault(error)),
            Some(rustls::Error::AlertReceived(alert)) => match client_fault(*alert) {
                Some(fault) => Self::Client(fault),
                None => Self::Transport(Cause::Client(Box::new(error))),
            },
            // Nothing else has a limit within the client.
            None if chain(&error).any(<Link>::is::<Elapsed>) => Self::Transport(Cause::Late(API_CONNECT)),
            _ => Self::Transport(Cause::Client(Box::new(error))),
        }
    }
}

fn server_fault(error: &CertificateError) -> ServerFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => ServerFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => ServerFault::NotYetValid,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => ServerFault::WrongName,
        _ => ServerFault::NotTrusted,
    }
}

/// What a server's alert says about the client's certificate; none if it is about something else.
fn client_fault(alert: AlertDescription) -> Option<ClientFault> {
    match alert {
        AlertDescription::CertificateExpired => Some(ClientFault::Expired),
        AlertDescription::NoCertificate
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied
        | AlertDescription::CertificateRequired => Some(ClientFault::Rejected),
        _ => None,
    }
}

/// An error as a source has it.
type Link = dyn StdError + 'static;

/// The error and its causes, outermost first.
fn chain<'a>(error: &'a Link) -> impl Iterator<Item = &'a Link> {
    std::iter::successors(Some(error), |error: &&'a Link| next(*error))
}

/// What an [`io::Error`] is made of is not its source, but within it.
fn next(error: &Link) -> Option<&Link> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|inner| inner as &Link),
        None => error.source(),
    }
}

fn innermost(error: &Link) -> &Link {
    chain(error).last().unwrap_or(error)
}
