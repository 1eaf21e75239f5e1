//! How a gate begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use portgate_core::forward::{Forward, LONGEST_PATIENCE};
use portgate_core::state::GateState;
use portgate_core::table::{Means, Table};
use portgate_kube::api::Api;
use portgate_kube::forward::Forwarder;
use portgate_relay::{Demand, Relay};
use tokio::task::JoinSet;

use super::Gate;
use crate::door::{Door, DoorError};
use crate::informer::{Informer, Told};
use crate::observer::Observer;
use crate::overlay::Overlay;
use crate::own::Own;
use crate::plane::Plane;
use crate::resolve::FRESH;
use crate::run::GateError;
use crate::settings::{Place, Settings};
use crate::silent::Silent;
use crate::store::Store;
use crate::streams::{Manner, Streams};
use crate::worker::Worker;

impl Gate {
    /// Opens every mapping of the state file.
    pub(crate) async fn open(settings: &Settings) -> Result<Self, GateError> {
        let store = Store::new(settings.state.clone());
        let state = store.load()?.ok_or_else(|| GateError::NoState(settings.state.clone()))?;
        let demand = Arc::new(demand(&settings.place));
        let door = door(settings, &state);
        let plane = match (&state.forward, &door, &settings.worker) {
            (Some(forward), Some(door), _) => Plane::Through(streams(settings, forward, door).await?),
            (_, _, Some(worker)) => {
                let worker = Worker::start(worker.clone(), Arc::clone(&demand)).await;
                Plane::Apart(Box::new(worker.map_err(GateError::Worker)?))
            }
            (_, _, None) => Plane::Here(Relay::new(settings.limits.clone(), Arc::clone(&demand))),
        };
        let (observer, seen) = Observer::start(&settings.place, &state, demand).await;
        let own = Own::start(&settings.place).map_err(GateError::Addresses)?;
        let informer = door.map(|door| Informer::start(door, state.named_objects()));
        let means = if state.forward.is_some() { Means::Api } else { Means::Network { routes: false } };
        let mut gate = Self {
            place: settings.place.clone(),
            started_at: Timestamp::now(),
            store,
            unsaved: None,
            retired: false,
            table: Table::new(),
            means,
            silent: Silent::default(),
            state,
            observer,
            seen,
            informer,
            told: Told::default(),
            own,
            forbidden: BTreeMap::new(),
            plane,
            overlay: Overlay::off(&settings.place),
            probes: JoinSet::new(),
            drain: settings.limits.drain,
        };
        gate.table = gate.build(&gate.state);
        gate.warn_of_forbidden();
        gate.listen_for(gate.table.keys().cloned().collect());
        gate.programme();
        Ok(gate)
    }
}

/// What the relay asks for: nothing where Docker's events tell of each change.
fn demand(place: &Place) -> Demand {
    match place {
        Place::Process(_) | Place::Published(_) => Demand::new(FRESH),
        Place::Host(_) => Demand::default(),
    }
}

/// Where the Kubernetes API server is found, by gates that follow it.
fn door(settings: &Settings, state: &GateState) -> Option<Door> {
    match (&settings.place, &state.forward) {
        (Place::Process(process), Some(forward)) => {
            Some(Door::of(&forward.access, &state.cluster, process.engine.clone()))
        }
        (Place::Host(host), _) => Some(Door::Servers {
            engine: host.engine_settings(),
            cluster: state.cluster.clone(),
            network: host.network.clone(),
        }),
        (Place::Process(_) | Place::Published(_), _) => None,
    }
}

async fn streams(settings: &Settings, forward: &Forward, door: &Door) -> Result<Streams, GateError> {
    let api = Api::connect(&door.enter().await?.access).await.map_err(DoorError::Access)?;
    let manner = Manner { sticky: forward.sticky, patience: forward.patience.min(LONGEST_PATIENCE) };
    Ok(Streams::new(Forwarder::new(&api), manner, settings.limits.drain))
}
