//! What carries bytes: the relay, in this process or in an unprivileged one, or streams through the API server.

use std::collections::BTreeMap;
use std::io;

use portgate_core::mapping::{Local, Mapping};
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::{Bound, Relay};

use crate::streams::Streams;
use crate::worker::{Refused, Worker, WorkerEvent};

/// The userspace data plane of a gate.
pub(crate) enum Plane {
    /// This process has no right that traffic could abuse.
    Here(Relay),
    /// This process is a supervisor, which never touches traffic.
    Apart(Box<Worker>),
    /// This process carries connections through the Kubernetes API server.
    Through(Streams),
}

impl Plane {
    /// Serves all of `sockets` with one route and one set of counters.
    pub(crate) fn open(&mut self, mapping: &Mapping, sockets: Vec<Bound>, resolution: Resolution) -> io::Result<()> {
        let local = &mapping.local;
        match self {
            Self::Here(relay) => relay.open(local.clone(), sockets, resolution),
            Self::Apart(worker) => worker.open(local.clone(), sockets, resolution),
            Self::Through(streams) => streams.open(mapping, sockets, resolution),
        }
    }

    /// Waits until the mappings that were opened are served, and returns those that could not be: they are closed.
    pub(crate) async fn settle(&mut self) -> Vec<Refused> {
        match self {
            Self::Here(_) | Self::Through(_) => Vec::new(),
            Self::Apart(worker) => worker.settle().await,
        }
    }

    /// The mappings that are not served any more, as far as is known by now: they are closed.
    pub(crate) fn refusals(&mut self) -> Vec<Refused> {
        match self {
            Self::Here(_) | Self::Through(_) => Vec::new(),
            Self::Apart(worker) => worker.refusals(),
        }
    }

    /// Leads a mapping to other backends from now on.
    pub(crate) fn route(&mut self, local: &Local, resolution: Resolution) {
        match self {
            Self::Here(relay) => relay.route(local, resolution),
            Self::Apart(worker) => worker.route(local, resolution),
            Self::Through(streams) => streams.route(local, resolution),
        }
    }

    /// Closes mappings. When it returns, their ports are free.
    pub(crate) async fn close(&mut self, locals: &[Local]) {
        match self {
            Self::Here(relay) => {
                for local in locals {
                    relay.close(local).await;
                }
            }
            Self::Apart(worker) => worker.close(locals).await,
            Self::Through(streams) => {
                for local in locals {
                    streams.close(local).await;
                }
            }
        }
    }

    /// What each of these mappings carried.
    pub(crate) async fn counters(&mut self, locals: impl Iterator<Item = &Local>) -> BTreeMap<Local, Counters> {
        match self {
            Self::Here(relay) => locals.filter_map(|local| Some((local.clone(), relay.counters(local)?))).collect(),
            Self::Apart(worker) => worker.counters().await,
            Self::Through(streams) => {
                locals.filter_map(|local| Some((local.clone(), streams.counters(local)?))).collect()
            }
        }
    }

    /// What happens to a worker; never anything where there is none. Cancel-safe.
    pub(crate) async fn next(&mut self) -> WorkerEvent {
        match self {
            Self::Here(_) | Self::Through(_) => std::future::pending().await,
            Self::Apart(worker) => worker.next().await,
        }
    }

    /// Lets open connections finish, for as long as the limits allow.
    pub(crate) async fn drain(self) {
        match self {
            Self::Here(relay) => relay.drain().await,
            Self::Apart(worker) => worker.drain().await,
            Self::Through(streams) => streams.drain().await,
        }
    }
}
