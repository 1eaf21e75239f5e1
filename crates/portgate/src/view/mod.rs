//! What a user sees: tables and documents on stdout, talk on stderr.

mod clusters;
mod listing;
mod mappings;
mod services;
mod talk;
mod trials;

pub(crate) use clusters::print_clusters;
pub(crate) use listing::{Row, print, print_document};
pub(crate) use mappings::{MappingRow, rows};
pub(crate) use services::ServiceRow;
pub(crate) use talk::{Progress, count, error, hint, line, log_warnings, note, warning};
