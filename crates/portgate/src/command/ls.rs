use portgate_core::control::Detail;
use portgate_core::limits::STATUS_TIME;

use crate::args::ListArguments;
use crate::failure::Failure;
use crate::gates::{self, Report};
use crate::view::{self, MappingRow};

/// Prints every open port. A gate that does not answer soon delays no other.
pub(crate) async fn ls(arguments: ListArguments) -> Result<(), Failure> {
    let unusable = gates::unusable_states();
    unusable.iter().for_each(view::warn_of);
    let reports = gates::find().await?.named(&arguments.cluster).await?.reports(Detail::Whole, STATUS_TIME).await?;
    let mut rows: Vec<MappingRow> = reports.iter().flat_map(view::rows).collect();
    rows.sort_by(|a, b| (&a.cluster, &a.mapping.local).cmp(&(&b.cluster, &b.mapping.local)));
    let damages: Vec<&Failure> = reports.iter().filter_map(Report::damage).collect();
    for damage in &damages {
        view::warn_of(damage);
    }
    let mut unlisted = reports.iter().filter_map(Report::unlisted).peekable();
    if rows.is_empty() && unusable.is_empty() && damages.is_empty() && unlisted.peek().is_none() {
        view::note("No port is open. Open one with `portgate open PORT`.");
    }
    unlisted.for_each(view::warning);
    view::print(arguments.output.output, &rows)
}
