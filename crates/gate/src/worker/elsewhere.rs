//! No worker: the rights that it is to be without are Linux's.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use portgate_core::mapping::Local;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::{Bound, Demand};

use super::{Refused, WorkerEvent, WorkerSettings};

/// There is none.
#[derive(Debug)]
pub enum Worker {}

/// There are no workers on this system.
#[derive(Debug, thiserror::Error)]
#[error("a worker needs Linux")]
pub struct WorkerError;

/// Fails.
pub fn work() -> Result<(), WorkerError> {
    Err(WorkerError)
}

impl Worker {
    /// Fails with [`io::ErrorKind::Unsupported`].
    pub async fn start(_settings: WorkerSettings, _demand: Arc<Demand>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Never called.
    pub fn open(&mut self, _local: Local, _sockets: Vec<Bound>, _resolution: Resolution) -> io::Result<()> {
        match *self {}
    }

    /// Never called.
    pub fn route(&mut self, _local: &Local, _resolution: Resolution) {
        match *self {}
    }

    /// Never called.
    pub async fn settle(&mut self) -> Vec<Refused> {
        match *self {}
    }

    /// Never called.
    pub fn refusals(&mut self) -> Vec<Refused> {
        match *self {}
    }

    /// Never called.
    pub async fn close(&mut self, _locals: &[Local]) {
        match *self {}
    }

    /// Never called.
    pub async fn counters(&mut self) -> BTreeMap<Local, Counters> {
        match *self {}
    }

    /// Never called.
    pub async fn next(&mut self) -> WorkerEvent {
        match *self {}
    }

    /// Never called.
    pub async fn drain(self) {
        match self {}
    }
}
