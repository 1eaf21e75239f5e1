//! Services, their endpoints, pods and nodes, as a Kubernetes API server tells of them.
//!
//! An [`access::Access`] says how the server is reached: as kubectl would, or by the admin kubeconfig of a local
//! cluster's server container. An [`api::Api`] asks it, once or, with a [`watch::Watch`], for as long as somebody wants
//! to know. What it answers becomes the model of `portgate_core::kubernetes`, and nothing else is kept. What fails is
//! an [`error::Error`], which says what was asked for, of which server and with which credentials.
//!
//! Nothing is ever written to a cluster.

pub mod access;
mod answer;
pub mod api;
mod certificate;
pub mod error;
pub mod forward;
#[doc(hidden)]
pub mod fuzzing;
mod known;
mod objects;
pub mod resource;
mod session;
pub mod settings;
pub mod watch;
