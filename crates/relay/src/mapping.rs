//! What all sockets and connections of one open mapping share.

use std::io;
use std::sync::Arc;

use portgate_core::table::Backend;

use crate::demand::Demand;
use crate::limits::Limits;
use crate::pool::Pool;
use crate::route::{Candidate, Route};
use crate::tally::Tally;
use crate::tcp::{Congestion, Supplies};
use crate::udp::Batch;

/// The relay's side of a mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) route: Route,
    pub(crate) tally: Tally,
    pub(crate) common: Arc<Common>,
}

impl Mapping {
    /// A backend failed: it is tried last for a while, and a resolution is asked for.
    pub(crate) fn failed(&self, candidate: &Candidate, error: &io::Error) {
        candidate.penalise();
        let Backend { node, address, .. } = &candidate.backend;
        self.tally.note(format_args!("{node} ({address}): {error}"));
        self.common.demand.failed();
    }
}

/// What all mappings of a relay share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) limits: Limits,
    pub(crate) demand: Arc<Demand>,
    pub(crate) supplies: Supplies,
    pub(crate) congestion: Congestion,
    pub(crate) batches: Pool<Box<Batch>>,
}
