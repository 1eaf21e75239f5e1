//! Clusters and nodes from the Docker API, and portgate's image and containers.
//!
//! Everything goes through an [`engine::Engine`], which is found as docker's own CLI finds it. Each request has an upper
//! bound in time, and its failure names the operation and its object. What the engine says is turned into decisions by
//! pure functions, which have most of the tests.

mod api_port;
mod bridge;
pub mod call;
pub mod clusters;
pub mod demo;
pub mod endpoint;
pub mod engine;
pub mod file;
pub mod gate;
pub mod holder;
pub mod image;
pub mod labels;
mod natural;
mod published;
pub mod settings;
pub mod trust;
pub mod watch;
