//! What a user sees: tables and documents on stdout, talk on stderr.

mod clusters;
#[cfg(test)]
pub(crate) mod hostile;
mod listing;
mod log;
mod mappings;
mod services;
mod talk;
mod trials;

pub(crate) use clusters::print_clusters;
pub(crate) use listing::{Row, print, print_document};
pub(crate) use log::{Lines, log};
pub(crate) use mappings::{MappingRow, rows};
pub(crate) use services::ServiceRow;
#[cfg(test)]
pub(crate) use talk::failed;
pub(crate) use talk::{Progress, block, count, error, hint, line, log_line, note, warn_of, warning};
