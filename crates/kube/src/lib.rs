//! Kubernetes.
mod objects;
pub mod resource;
