//! The readers of foreign bytes that are private otherwise, for the fuzz targets.

#[cfg(target_os = "linux")]
pub use crate::worker::fuzzing::{order, report};
