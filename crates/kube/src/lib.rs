//! Kubernetes.
pub mod access;
pub mod api;
mod certificate;
pub mod error;
mod known;
mod objects;
pub mod resource;
mod session;
pub mod settings;
pub mod watch;
