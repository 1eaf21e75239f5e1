//! An API double for tests: a TLS server that speaks the Kubernetes API over real sockets, port-forwards included.
//!
//! A [`Double`] starts with what was recorded from a Kubernetes 1.36, answers as one, and can be made to fail as one.
//! It is controlled in the process that it runs in, or from another through its control endpoint ([`Control`]).

mod answer;
mod api;
mod command;
mod config;
mod connections;
mod control;
mod counters;
mod discovery;
mod double;
mod empty;
mod fault;
mod hostile;
mod kubeconfig;
mod list;
pub mod object;
mod options;
mod page;
mod pods;
mod portforward;
mod record;
mod remote;
mod request;
mod resource;
mod selector;
mod server;
mod shared;
mod status;
mod store;
mod tls;
mod watch;

pub use config::{Authentication, Config, Objects, Transport, Transports};
pub use control::{Control, ControlError};
pub use counters::{Counters, RequestCount};
pub use double::{Double, StartError};
pub use fault::{Failure, Fault};
pub use hostile::{Hostility, Stage};
pub use kubeconfig::Kubeconfig;
pub use request::Requests;
pub use resource::{Resource, Verb};
pub use tls::TlsError;
