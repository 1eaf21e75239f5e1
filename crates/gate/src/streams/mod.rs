//! The data plane of a forward: each connection becomes a stream through the Kubernetes API server to a pod.

mod carry;
mod choice;
mod listener;
mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use portgate_core::control::ProbeResult;
use portgate_core::mapping::{Local, Mapping as Wanted};
use portgate_core::status::Counters;
use portgate_core::table::{Backend, Resolution};
use portgate_kube::forward::{Forwarder, PodName};
use portgate_relay::{Bound, Tally};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use choice::Choice;
use listener::Listener;

/// How a forward treats its connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Whether a mapping keeps its pod for as long as that is ready.
    pub(crate) sticky: bool,
    /// How long a connection waits for a pod.
    pub(crate) patience: Duration,
}

/// Carries TCP connections through the API server. Dropping it cuts everything.
pub(crate) struct Streams {
    forwarder: Forwarder,
    manner: Manner,
    drain: Duration,
    open: BTreeMap<Local, Open>,
}

struct Open {
    mapping: Arc<Mapping>,
    /// No new connections.
    closed: CancellationToken,
    listeners: JoinSet<()>,
}

/// What all connections of one mapping share.
struct Mapping {
    namespace: String,
    choice: Choice,
    tally: Tally,
    forwarder: Forwarder,
    patience: Duration,
    connections: TaskTracker,
    /// No connections at all any more.
    cut: CancellationToken,
}

impl Streams {
    pub(crate) fn new(forwarder: Forwarder, manner: Manner, drain: Duration) -> Self {
        Self { forwarder, manner, drain, open: BTreeMap::new() }
    }

    /// Serves all of `sockets`.
    pub(crate) fn open(&mut self, mapping: &Wanted, sockets: Vec<Bound>, resolution: Resolution) -> io::Result<()> {
        let Some(object) = mapping.target.object() else { return Err(io::ErrorKind::Unsupported.into()) };
        let local = mapping.local.clone();
        let mapping = Arc::new(Mapping {
            namespace: object.namespace.clone(),
            choice: Choice::new(resolution, self.manner.sticky),
            tally: Tally::default(),
            forwarder: self.forwarder.clone(),
            patience: self.manner.patience,
            connections: TaskTracker::new(),
            cut: CancellationToken::new(),
        });
        let closed = CancellationToken::new();
        let mut listeners = JoinSet::new();
        for socket in sockets {
            let Bound::Tcp(socket) = socket else { return Err(io::ErrorKind::Unsupported.into()) };
            listeners.spawn(Listener::new(socket, mapping.clone())?.run(closed.clone()));
        }
        self.open.insert(local, Open { mapping, closed, listeners });
        Ok(())
    }

    /// Leads new connections to other pods from now on.
    pub(crate) fn route(&self, local: &Local, resolution: Resolution) {
        if let Some(open) = self.open.get(local) {
            open.mapping.choice.replace(resolution);
        }
        self.forwarder.retain(&self.open.values().flat_map(|open| open.mapping.pods()).collect());
    }

    /// Closes a mapping, and cuts its connections. When it returns, its port is free.
    pub(crate) async fn close(&mut self, local: &Local) {
        if let Some(open) = self.open.remove(local) {
            open.mapping.cut.cancel();
            open.end().await;
        }
    }

    /// What a mapping carried.
    pub(crate) fn counters(&self, local: &Local) -> Option<Counters> {
        self.open.get(local).map(|open| open.mapping.tally.counters())
    }

    /// Tries the way to these backends of a mapping.
    pub(crate) fn probe(
        &self,
        local: &Local,
        backends: Vec<Backend>,
        limit: Duration,
    ) -> impl Future<Output = Vec<ProbeResult>> + Send + use<> {
        let namespace = self.open.get(local).map(|open| open.mapping.namespace.clone()).unwrap_or_default();
        probe::probe(self.forwarder.clone(), namespace, backends, limit)
    }

    /// Stops listening, lets open connections finish for a while, and cuts those that are left.
    pub(crate) async fn drain(self) {
        let cuts: Vec<CancellationToken> = self.open.values().map(|open| open.mapping.cut.clone()).collect();
        let mut ending: JoinSet<()> = self.open.into_values().map(Open::end).collect();
        let ended = async { while ending.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, ended).await.is_err() {
            for cut in cuts {
                cut.cancel();
            }
            while ending.join_next().await.is_some() {}
        }
    }
}

impl Open {
    async fn end(mut self) {
        self.closed.cancel();
        while self.listeners.join_next().await.is_some() {}
        self.mapping.connections.close();
        self.mapping.connections.wait().await;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.mapping.cut.cancel();
    }
}

impl Mapping {
    fn pod(&self, backend: &Backend) -> PodName {
        PodName { namespace: self.namespace.clone(), name: backend.node.clone() }
    }

    fn pods(&self) -> BTreeSet<PodName> {
        self.choice.all().iter().map(|backend| self.pod(backend)).collect()
    }
}
