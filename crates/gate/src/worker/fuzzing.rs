//! The readers of what supervisor and worker say to each other, for the fuzz targets. Each returns the message as it
//! would be sent again.

use std::io;

use portgate_core::limits;

use super::channel;
use super::message::{Order, Report};
use super::tally::Tally;

/// Reads the first order in these packets, as a worker does.
pub fn order(packets: &[&[u8]]) -> io::Result<Option<Vec<u8>>> {
    let order: Option<Order> = channel::message(packets, limits::WORKER_ORDER)?;
    Ok(order.map(|order| serde_json::to_vec(&order)).transpose()?)
}

/// Reads the first report in these packets, as a supervisor does, and adds up what it counts.
pub fn report(packets: &[&[u8]]) -> io::Result<Option<Vec<u8>>> {
    let report: Option<Report> = channel::message(packets, limits::WORKER_REPORT)?;
    if let Some(Report::Counters(counters)) = &report {
        let mut tally = Tally::default();
        for (_, counters) in counters {
            tally.update(counters.clone());
            tally.bury();
        }
    }
    Ok(report.map(|report| serde_json::to_vec(&report)).transpose()?)
}
