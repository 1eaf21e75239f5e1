//! The readers of foreign bytes that are private otherwise, for the fuzz targets.

use std::path::Path;

use portgate_core::state::GateState;

use crate::store::{self, StoreError};
#[cfg(target_os = "linux")]
pub use crate::worker::fuzzing::{order, report};

/// Reads the content of a state file.
pub fn state(text: &[u8]) -> Result<GateState, StoreError> {
    store::parse(text, Path::new("gate.json"))
}
