//! What a user sees: tables and documents on stdout, talk on stderr.

mod listing;
mod mappings;
mod talk;
mod trials;

pub(crate) use listing::{Row, print};
pub(crate) use mappings::MappingRow;
pub(crate) use talk::{Progress, error, hint, note, warning};
