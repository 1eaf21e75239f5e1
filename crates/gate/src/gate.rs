//! What a gate knows, and how events change it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use portgate_core::causes;
use portgate_core::control::{Change, Probe, Refusal, Request, Response};
use portgate_core::mapping::{Local, Mapping, Target};
use portgate_core::state::{GateState, NodeHost};
use portgate_core::status::{Datapath, GateStatus, MappingState, MappingStatus, Placement};
use portgate_core::table::{self, Addresses, Resolution, Table};
use portgate_relay::{Demand, Relay};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::probe::probe;
use crate::resolve::{FRESH, resolve};
use crate::run::{GateError, Settings};
use crate::server::Call;
use crate::sockets::{self, ListenError};
use crate::store::Store;

/// Stands for a mapping's port where no single address of it is at fault.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The loop's state: what is wanted, what was observed, and what follows from both.
pub(crate) struct Gate {
    placement: Placement,
    started_at: Timestamp,
    store: Store,
    state: GateState,
    retired: bool,
    hosts: watch::Sender<Vec<NodeHost>>,
    addresses: Addresses,
    looked_at: Instant,
    table: Table,
    demand: Arc<Demand>,
    relay: Relay,
    probes: JoinSet<()>,
}

impl Gate {
    /// Opens every mapping of the state file.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, GateError> {
        let store = Store::new(settings.state.clone());
        let state = store.load()?.ok_or_else(|| GateError::NoState(settings.state.clone()))?;
        let hosts = hosts(&state);
        let addresses = resolve(&hosts).await;
        let demand = Arc::new(Demand::new(FRESH));
        let mut gate = Self {
            placement: settings.placement,
            started_at: Timestamp::now(),
            store,
            retired: false,
            hosts: watch::Sender::new(hosts),
            table: build(&state, &addresses),
            state,
            addresses,
            looked_at: Instant::now(),
            relay: Relay::new(settings.limits.clone(), Arc::clone(&demand)),
            demand,
            probes: JoinSet::new(),
        };
        for (local, resolution) in gate.table.clone() {
            let opened = gate.listen(&local, resolution);
            opened.map_err(|source| GateError::Open { local, source })?;
        }
        Ok(gate)
    }

    pub(crate) fn demand(&self) -> &Arc<Demand> {
        &self.demand
    }

    /// The hosts whose addresses are to be observed.
    pub(crate) fn hosts(&self) -> watch::Receiver<Vec<NodeHost>> {
        self.hosts.subscribe()
    }

    /// How many mappings are wanted.
    pub(crate) fn len(&self) -> usize {
        self.state.mappings.len()
    }

    /// Ends with the next finished probe; never, where none is under way.
    pub(crate) async fn reap(&mut self) {
        if self.probes.join_next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }

    /// Lets open connections finish, for as long as the limits allow.
    pub(crate) async fn drain(self) {
        self.relay.drain().await;
    }

    /// Whoever asks for the state wants that of now, though no traffic has asked for the addresses.
    async fn look(&mut self) {
        if self.looked_at.elapsed() >= FRESH {
            let addresses = resolve(&hosts(&self.state)).await;
            self.observe(addresses);
        }
    }

    /// Takes note of new addresses. Hosts that are not among them keep theirs.
    pub(crate) fn observe(&mut self, addresses: Addresses) {
        self.looked_at = Instant::now();
        self.addresses.extend(addresses);
        self.swap(build(&self.state, &self.addresses));
        self.demand.refreshed();
    }

    /// Carries out a request. Breaks if the gate is to end.
    pub(crate) async fn answer(&mut self, Call { request, answer }: Call) -> ControlFlow<()> {
        let ends = matches!(request, Request::Stop);
        let response = match request {
            Request::Status => {
                self.look().await;
                Ok(Response::Status(self.status()))
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
        Response::Done { revision: self.state.revision }
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
    async fn change(&mut self, change: Change) -> Result<Response, Refusal> {
        self.check_revision(change.revision)?;
        let state = self.state.changed(&change.open, &change.close, change.nodes);
        self.look_up_new_hosts(&state).await;
        let table = build(&state, &self.addresses);
        let mut opened = Vec::new();
        let outcome = self.open_new(&table, &mut opened).and_then(|()| self.save(&state));
        if let Err(refusal) = outcome {
            self.close_all(&opened).await;
            return Err(refusal);
        }
        self.hosts.send_replace(hosts(&state));
        self.state = state;
        let gone: Vec<Local> = self.table.keys().filter(|local| !table.contains_key(local)).cloned().collect();
        self.close_all(&gone).await;
        self.swap(table);
        tracing::info!(revision = self.state.revision, mappings = self.len(), "the mappings changed");
        Ok(self.done())
    }

    /// Listens for each mapping that the table has and the gate does not, and notes it in `opened`.
    fn open_new(&mut self, table: &Table, opened: &mut Vec<Local>) -> Result<(), Refusal> {
        for (local, resolution) in table {
            if !self.table.contains_key(local) {
                self.listen(local, resolution.clone()).map_err(|error| error.refusal(local))?;
                opened.push(local.clone());
            }
        }
        Ok(())
    }

    fn listen(&mut self, local: &Local, resolution: Resolution) -> Result<(), ListenError> {
        let sockets = sockets::bind(local, self.placement)?;
        let opened = self.relay.open(local.clone(), sockets, resolution);
        opened.map_err(|source| ListenError { address: SocketAddr::new(UNSPECIFIED, local.port.number()), source })
    }

    fn save(&self, state: &GateState) -> Result<(), Refusal> {
        self.store.save(state).map_err(|error| Refusal::State { message: causes::line(&error) })
    }

    /// Forgets everything: the container is about to be removed, and its state file shall not outlive it.
    /// Asked again, because the one who asked first was killed before it removed the container, it agrees again.
    async fn retire(&mut self, revision: u64) -> Result<Response, Refusal> {
        if self.retired {
            return Ok(self.done());
        }
        self.check_revision(revision)?;
        self.store.remove().map_err(|error| Refusal::State { message: causes::line(&error) })?;
        self.retired = true;
        self.state.mappings.clear();
        let gone: Vec<Local> = std::mem::take(&mut self.table).into_keys().collect();
        self.close_all(&gone).await;
        Ok(self.done())
    }

    async fn close_all(&mut self, locals: &[Local]) {
        for local in locals {
            self.relay.close(local).await;
        }
    }

    /// Resolves the hosts that this state has and the gate does not know yet.
    async fn look_up_new_hosts(&mut self, state: &GateState) {
        let mut unknown = hosts(state);
        unknown.retain(|host| !self.addresses.contains_key(&host.name));
        self.addresses.extend(resolve(&unknown).await);
    }

    /// Leads the mappings to where this table says. What has not changed is not touched.
    fn swap(&mut self, table: Table) {
        for (local, resolution) in &table {
            if self.table.get(local) != Some(resolution) {
                tracing::info!(%local, leads_to = describe(resolution), "route");
                self.relay.route(local, resolution.clone());
            }
        }
        self.table = table;
    }

    /// Probes a mapping's backends beside the loop.
    fn probe(
        &mut self,
        Probe { local, datagram, timeout }: Probe,
        answer: oneshot::Sender<Response>,
    ) -> Result<(), (Refusal, oneshot::Sender<Response>)> {
        let Some(resolution) = self.table.get(&local) else { return Err((Refusal::NotOpen { local }, answer)) };
        let backends = resolution.clone().unwrap_or_default();
        self.probes.spawn(async move {
            let results = probe(backends, local.protocol, &datagram, timeout).await;
            // The other side may have hung up meanwhile.
            let _ = answer.send(Response::Probed { results });
        });
        Ok(())
    }

    fn status(&self) -> GateStatus {
        GateStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            placement: self.placement,
            started_at: self.started_at,
            revision: self.state.revision,
            mappings: self.state.mappings.iter().map(|mapping| self.mapping_status(mapping)).collect(),
        }
    }

    fn mapping_status(&self, mapping: &Mapping) -> MappingStatus {
        let resolution = self.table.get(&mapping.local).cloned().unwrap_or_else(|| Ok(Vec::new()));
        let (backends, state) = match resolution {
            Ok(backends) => (backends, MappingState::Open),
            Err(why) => (Vec::new(), MappingState::NoBackend { why }),
        };
        MappingStatus {
            local: mapping.local.clone(),
            target: mapping.target.clone(),
            backends,
            datapath: Datapath::Relay,
            state,
            counters: self.relay.counters(&mapping.local).unwrap_or_default(),
        }
    }
}

/// Answers. The other side may have hung up; what it asked for is done all the same.
fn send(answer: oneshot::Sender<Response>, response: Result<Response, Refusal>) -> ControlFlow<()> {
    let _ = answer.send(response.unwrap_or_else(Response::Refused));
    ControlFlow::Continue(())
}

fn build(state: &GateState, addresses: &Addresses) -> Table {
    let nodes: Vec<String> = state.nodes.iter().map(|node| node.name.clone()).collect();
    table::build(&state.mappings, &nodes, addresses)
}

/// The nodes, and the other containers that targets name; those are found by their names.
fn hosts(state: &GateState) -> Vec<NodeHost> {
    let mut hosts = state.nodes.clone();
    for mapping in &state.mappings {
        if let Target::Node { container, .. } = &mapping.target
            && !hosts.iter().any(|host| host.name == *container)
        {
            hosts.push(NodeHost { name: container.clone(), host: container.clone() });
        }
    }
    hosts
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
