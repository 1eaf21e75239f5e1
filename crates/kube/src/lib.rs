//! Kubernetes.
pub mod access;
mod objects;
pub mod resource;
pub mod settings;
