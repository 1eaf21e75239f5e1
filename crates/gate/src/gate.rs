//! What a gate knows, and how events change it.

mod start;
mod view;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use portgate_core::causes;
use portgate_core::cluster::ClusterId;
use portgate_core::control::{Change, Probe, ProbeResult, Refusal, Request, Response};
use portgate_core::mapping::{Local, Mapping};
use portgate_core::state::GateState;
use portgate_core::table::{Forbidden, Means, Resolution, Table};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::informer::{Informer, Told};
use crate::observer::{Observation, Observer};
use crate::overlay::{Change as Kernel, Overlay};
use crate::own::{self, Own};
use crate::plane::Plane;
use crate::probe::probe;
use crate::server::Call;
use crate::settings::Place;
use crate::silent::Silent;
use crate::sockets::{self, ListenError};
use crate::store::Store;
use crate::worker::{Refused, WorkerEvent};

/// Stands for a mapping's port where no single address of it is at fault.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How often the kernel is asked whether its connections have ended, while a gate drains.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The loop's state: what is wanted, what was observed, and what follows from both.
pub(crate) struct Gate {
    pub(crate) place: Place,
    pub(crate) started_at: Timestamp,
    store: Store,
    pub(crate) state: GateState,
    /// Why the state file does not hold the state, if it does not.
    unsaved: Option<String>,
    retired: bool,
    observer: Observer,
    seen: Observation,
    informer: Option<Informer>,
    told: Told,
    own: Option<Own>,
    /// The addresses that targets have and are not led to.
    forbidden: BTreeMap<Local, BTreeMap<IpAddr, Forbidden>>,
    pub(crate) table: Table,
    /// By what means the table's backends are reached.
    means: Means,
    /// Of the table, what could not be listened for.
    pub(crate) silent: Silent,
    pub(crate) plane: Plane,
    pub(crate) overlay: Overlay,
    probes: JoinSet<()>,
    drain: Duration,
}

/// What happens to a gate by itself.
pub(crate) enum Event {
    /// The addresses of its nodes were seen.
    Observed(Observation),
    /// The Kubernetes API server has told of Services and pods.
    Told(Told),
    /// The addresses of this machine are others.
    Readdressed,
    /// Its cluster is gone for good.
    ClusterDeleted,
    /// Something of its worker.
    Worker(WorkerEvent),
    /// Something of the kernel path.
    Kernel(Kernel),
    /// A probe is done.
    Probed,
    /// A port that could not be had may be free by now.
    ListenAgain,
}

impl Gate {
    /// Whose mappings it carries.
    pub(crate) fn cluster(&self) -> &ClusterId {
        &self.state.cluster
    }

    /// How many mappings are wanted.
    pub(crate) fn len(&self) -> usize {
        self.state.mappings.len()
    }

    /// What happens next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            seen = self.observer.next() => seen.map_or(Event::ClusterDeleted, Event::Observed),
            told = told(&mut self.informer) => Event::Told(told),
            () = own::changed(&mut self.own) => Event::Readdressed,
            event = self.plane.next() => Event::Worker(event),
            change = self.overlay.next() => Event::Kernel(change),
            Some(_) = self.probes.join_next() => Event::Probed,
            () = self.silent.due() => Event::ListenAgain,
        }
    }

    /// Takes note of what has happened. Breaks if the gate is to end.
    pub(crate) fn take(&mut self, event: Event) -> ControlFlow<()> {
        match event {
            Event::Observed(seen) => self.observe(seen),
            Event::Told(told) => {
                self.told = told;
                self.lead(self.build(&self.state));
            }
            Event::Readdressed => self.lead(self.build(&self.state)),
            Event::ClusterDeleted => return ControlFlow::Break(()),
            Event::Worker(WorkerEvent::Replaced { exit }) => {
                tracing::warn!(exit, "the worker ended; another one serves");
            }
            Event::Worker(WorkerEvent::Refused(refused)) => self.refused(refused),
            Event::Kernel(Kernel::Admitted) => self.apply(),
            Event::Kernel(Kernel::Touched) => self.mend(),
            Event::Probed => {}
            Event::ListenAgain => self.listen_again(),
        }
        ControlFlow::Continue(())
    }

    /// Lets open connections finish, for as long as the limits allow, and takes the rules out of the kernel.
    pub(crate) async fn drain(mut self) {
        self.save_again();
        let overlay = &mut self.overlay;
        let quiet = async {
            while overlay.is_busy() {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let _ = tokio::join!(self.plane.drain(), tokio::time::timeout(self.drain, quiet));
        self.overlay.end();
    }

    /// Takes the rules out of the kernel at once: nothing that they lead to is left.
    pub(crate) fn abandon(&mut self) {
        self.overlay.end();
    }

    /// Takes note of new addresses. Hosts that are not among them keep theirs, where names are looked up one by one.
    fn observe(&mut self, seen: Observation) {
        self.seen.update(seen);
        self.programme();
        self.lead(self.build(&self.state));
        self.observer.refreshed();
    }

    /// Programmes the kernel, where that was asked for and is not done yet: the interface may just have appeared.
    fn programme(&mut self) {
        if self.overlay.follow(&self.place, &self.state.cluster, self.seen.bridge.as_deref()) {
            self.apply();
        }
    }

    /// Puts back what others have taken out of the kernel, and does what could not be done before.
    fn mend(&mut self) {
        self.overlay.mend();
        self.programme();
        self.apply();
    }

    /// Leads the kernel to where the table says: never for a port that another program has. Where the kernel begins or
    /// ceases to make routes, other backends can be reached.
    fn apply(&mut self) {
        self.overlay.apply(&self.silent.without(&self.table));
        let means = match self.means {
            Means::Api => Means::Api,
            Means::Network { .. } => Means::Network { routes: self.overlay.has_routes() },
        };
        if means != self.means {
            self.means = means;
            self.lead(self.build(&self.state));
        }
    }

    /// Carries out a request. Breaks if the gate is to end.
    pub(crate) async fn answer(&mut self, Call { request, answer }: Call) -> ControlFlow<()> {
        let ends = matches!(request, Request::Stop);
        let response = match request {
            Request::Status { detail } => {
                if let Some(seen) = self.observer.look().await {
                    self.observe(seen);
                }
                // Neither a port that is free again is told, nor every change of the kernel's settings.
                self.listen_again();
                self.mend();
                self.save_again();
                Ok(Response::Status(self.status(detail).await))
            }
            Request::Change(change) => self.change(change).await,
            Request::Retire { revision } => self.retire(revision).await,
            Request::Stop => Ok(self.done()),
            Request::Probe(request) => match self.probe(request, answer) {
                Ok(()) => return ControlFlow::Continue(()),
                Err((refusal, answer)) => return send(answer, Err(refusal)),
            },
        };
        let sent = send(answer, response);
        if ends { ControlFlow::Break(()) } else { sent }
    }

    fn done(&self) -> Response {
        Response::Done { revision: self.state.revision, unsaved: self.unsaved.clone() }
    }

    fn check_revision(&self, revision: u64) -> Result<(), Refusal> {
        if self.retired {
            Err(Refusal::Retired)
        } else if revision == self.state.revision {
            Ok(())
        } else {
            Err(Refusal::Stale { revision: self.state.revision })
        }
    }

    /// Opens what is new, saves, and only then closes what is no longer wanted: where one of these fails, what was new
    /// is closed again and nothing has changed.
    ///
    /// A change that opens nothing is made even if it cannot be saved: a port must close on a full disk, too.
    async fn change(&mut self, change: Change) -> Result<Response, Refusal> {
        self.check_revision(change.revision)?;
        let state = self.state.changed(&change);
        self.observer.look_up_new(&state, &mut self.seen).await;
        let table = self.build(&state);
        let mut opened = Vec::new();
        let outcome = self.open_new(&state, &table, &mut opened).await.and_then(|()| match self.save(&state) {
            Some(message) if !change.open.is_empty() => Err(Refusal::State { message }),
            unsaved => Ok(unsaved),
        });
        match outcome {
            Ok(unsaved) => self.unsaved = unsaved,
            Err(refusal) => {
                self.plane.close(&opened).await;
                return Err(refusal);
            }
        }
        self.observer.follow(&state);
        if let Some(informer) = &self.informer {
            informer.want(state.named_objects());
        }
        self.state = state;
        let gone: Vec<Local> = self.table.keys().filter(|local| !table.contains_key(local)).cloned().collect();
        self.lead(table);
        self.plane.close(&gone).await;
        tracing::info!(revision = self.state.revision, mappings = self.len(), "the mappings changed");
        Ok(self.done())
    }

    /// Listens for each mapping that the new state has and the gate does not, and notes it in `opened`.
    async fn open_new(&mut self, state: &GateState, table: &Table, opened: &mut Vec<Local>) -> Result<(), Refusal> {
        for mapping in &state.mappings {
            let local = &mapping.local;
            if let (None, Some(resolution)) = (self.table.get(local), table.get(local)) {
                self.listen(mapping, resolution.clone()).map_err(|error| error.refusal(local))?;
                opened.push(local.clone());
            }
        }
        let (own, others): (Vec<_>, Vec<_>) =
            self.plane.settle().await.into_iter().partition(|refused| opened.contains(&refused.local));
        for refused in others {
            self.refused(refused);
        }
        match own.into_iter().next() {
            Some(Refused { local, message }) => {
                let address = SocketAddr::new(UNSPECIFIED, local.port.number());
                Err(Refusal::Bind { local, address, message })
            }
            None => Ok(()),
        }
    }

    /// A mapping that was open is not served any more: it is listened for again later.
    pub(crate) fn refused(&mut self, Refused { local, message }: Refused) {
        self.silent.insert(local, message);
        self.apply();
    }

    fn listen(&mut self, mapping: &Mapping, resolution: Resolution) -> Result<(), ListenError> {
        let local = &mapping.local;
        let sockets = sockets::bind(local, self.place.placement())?;
        let opened = self.plane.open(mapping, sockets, resolution);
        opened.map_err(|source| ListenError { address: SocketAddr::new(UNSPECIFIED, local.port.number()), source })
    }

    /// Writes the state down, or says why that fails.
    fn save(&self, state: &GateState) -> Option<String> {
        let saved = if self.retired { self.store.remove() } else { self.store.save(state) };
        let message = causes::line(&saved.err()?);
        if self.unsaved.as_ref() != Some(&message) {
            tracing::warn!(message, "the state is not saved");
        }
        Some(message)
    }

    /// Writes the state down where that has failed: there may be room by now.
    fn save_again(&mut self) {
        if self.unsaved.is_some() {
            self.unsaved = self.save(&self.state);
        }
    }

    /// Forgets everything: the container is about to be removed, and its state file shall not outlive it.
    /// Asked again, because the one who asked first was killed before it removed the container, it agrees again. A file
    /// that cannot be removed does not keep the ports open.
    async fn retire(&mut self, revision: u64) -> Result<Response, Refusal> {
        if self.retired {
            return Ok(self.done());
        }
        self.check_revision(revision)?;
        self.retired = true;
        self.unsaved = self.save(&self.state);
        self.state.mappings.clear();
        let gone: Vec<Local> = self.table.keys().cloned().collect();
        self.lead(Table::new());
        self.overlay.end();
        self.plane.close(&gone).await;
        Ok(self.done())
    }

    /// Leads the mappings to where this table says. What has not changed is not touched.
    fn lead(&mut self, table: Table) {
        for (local, resolution) in &table {
            let before = self.table.get(local);
            if before == Some(resolution) {
                continue;
            }
            tracing::info!(%local, leads_to = describe(resolution), "route");
            if before.is_some() {
                self.plane.route(local, resolution.clone());
            }
        }
        self.table = table;
        self.warn_of_forbidden();
        self.silent.retain(&self.table);
        self.apply();
    }

    /// Listens for these mappings of the table. What cannot be had is tried again later, and disturbs no other.
    fn listen_for(&mut self, locals: Vec<Local>) {
        for local in locals {
            let mapping = self.state.mappings.iter().find(|mapping| mapping.local == local).cloned();
            let (Some(mapping), Some(resolution)) = (mapping, self.table.get(&local).cloned()) else { continue };
            if let Err(error) = self.listen(&mapping, resolution) {
                self.silent.insert(local, causes::line(&error));
            }
        }
    }

    fn listen_again(&mut self) {
        let silent = self.silent.take();
        self.listen_for(silent);
        self.apply();
    }

    /// Probes a mapping's backends beside the loop.
    fn probe(
        &mut self,
        Probe { local, datagram, timeout }: Probe,
        answer: oneshot::Sender<Response>,
    ) -> Result<(), (Refusal, oneshot::Sender<Response>)> {
        let Some(resolution) = self.table.get(&local) else { return Err((Refusal::NotOpen { local }, answer)) };
        let backends = resolution.clone().unwrap_or_default();
        let results: BoxFuture<'static, Vec<ProbeResult>> = match &self.plane {
            Plane::Through(streams) => streams.probe(&local, backends, timeout).boxed(),
            Plane::Here(_) | Plane::Apart(_) => {
                async move { probe(backends, local.protocol, &datagram, timeout).await }.boxed()
            }
        };
        self.probes.spawn(async move {
            // The other side may have hung up meanwhile.
            let _ = answer.send(Response::Probed { results: results.await });
        });
        Ok(())
    }
}

/// Answers. The other side may have hung up; what it asked for is done all the same.
fn send(answer: oneshot::Sender<Response>, response: Result<Response, Refusal>) -> ControlFlow<()> {
    let _ = answer.send(response.unwrap_or_else(Response::Refused));
    ControlFlow::Continue(())
}

/// What the API server tells next; never anything, where nobody asks it. Cancel-safe.
async fn told(informer: &mut Option<Informer>) -> Told {
    match informer {
        Some(informer) => informer.next().await,
        None => std::future::pending().await,
    }
}

fn describe(resolution: &Resolution) -> String {
    match resolution {
        Ok(backends) => backends
            .iter()
            .map(|backend| format!("{} ({})", backend.address, backend.node))
            .collect::<Vec<_>>()
            .join(", "),
        Err(why) => format!("nowhere: {why}"),
    }
}
