//! Carrying out a plan, and undoing what was done of it when it fails.

use std::collections::HashMap;
use std::time::Duration;

use portgate_core::cluster::{Cluster, ClusterId, Node};
use portgate_core::control::{Change, Refusal, Request, Response};
use portgate_core::kubernetes::Objects;
use portgate_core::mapping::{Local, Mapping};
use portgate_core::plan::{self, Step};
use portgate_core::state::{GateState, NodeHost};
use portgate_core::status::Placement;
use portgate_docker::engine::Engine;
use portgate_docker::gate::{self as containers, GateContainer, GateSpec};
use portgate_docker::{call, labels};
use portgate_gate::client::ClientError;

use crate::failure::Failure;
use crate::gates::{Control, VERSION};
use crate::interrupt::Interrupt;
use crate::site::Site;
use crate::view;
use crate::{host_port, leftovers};

/// The network whose containers Docker's DNS does not know: the engine's default bridge.
const NETWORK_WITHOUT_DNS: &str = "bridge";

/// How long a gate may drain before Docker ends it.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// The nodes, by the names or addresses under which a gate in a container finds them.
pub(crate) fn node_hosts(cluster: &Cluster) -> Vec<NodeHost> {
    let host = |node: &Node| match node.address {
        Some(address) if cluster.network == NETWORK_WITHOUT_DNS => address.to_string(),
        _ => node.name.clone(),
    };
    cluster.nodes.iter().map(|node| NodeHost { name: node.name.clone(), host: host(node) }).collect()
}

/// The volume of a cluster's gates: the one that it has, which an older version may have called otherwise, or a name
/// that no other cluster's volume has.
async fn volume(engine: &Engine, cluster: &ClusterId) -> Result<String, Failure> {
    let volumes = engine.gate_volumes().await?;
    let present = volumes.iter().find(|volume| volume.cluster == *cluster).map(|volume| volume.name.clone());
    let names: Vec<String> = volumes.into_iter().map(|volume| volume.name).collect();
    Ok(present.unwrap_or_else(|| plan::free_name(&cluster.gate_name(), &names)))
}

/// What a gate is made from, and for.
pub(crate) struct Ground {
    /// The cluster.
    pub(crate) cluster: ClusterId,
    /// The cluster's network.
    pub(crate) network: String,
    /// The gate's image.
    pub(crate) image: String,
    /// Where the gates run.
    pub(crate) site: Site,
    /// The cluster's nodes, where they were looked up just now.
    pub(crate) nodes: Option<Vec<NodeHost>>,
    /// What is known of the Kubernetes objects that new mappings name.
    pub(crate) objects: Objects,
}

impl Ground {
    /// What a gate's container is to be.
    fn spec(&self, engine: &Engine, gate: &str, volume: String, published: Vec<Local>) -> Result<GateSpec, Failure> {
        Ok(GateSpec {
            name: gate.to_owned(),
            cluster: self.cluster.clone(),
            network: self.network.clone(),
            version: VERSION.to_owned(),
            image: self.image.clone(),
            volume,
            form: self.site.form(engine, &self.cluster, published)?,
        })
    }

    /// Makes a gate's container anew, on this ground. What it carries is in the volume, and survives.
    pub(crate) async fn replace(&self, engine: &Engine, old: &GateContainer) -> Result<(), Failure> {
        let spec = self.spec(engine, &old.name, old.volume.clone(), old.published.clone())?;
        engine.stop(&old.name, GRACE).await?;
        engine.remove(&old.name, false).await?;
        engine.create_gate(&spec).await?;
        // The file is to belong to the user that the gate is now.
        if let Some(state) = engine.read_state(&old.name).await? {
            engine.write_state(&old.name, &state).await?;
        }
        Ok(engine.start(&old.name).await?)
    }

    /// A conversation with one of the gates.
    pub(crate) async fn control(&self, engine: &Engine, gate: &str) -> Result<Control, Failure> {
        Control::of_container(engine, &self.cluster, self.site.placement, gate).await
    }
}

/// One undertaking: its steps leave behind how to undo them.
pub(crate) struct Undertaking<'a> {
    engine: &'a Engine,
    interrupt: &'a Interrupt,
    ground: Ground,
    undo: Vec<Undo>,
}

/// What takes a step back.
enum Undo {
    RemoveContainer(String),
    RemoveVolume(String),
    Close { gate: String, locals: Vec<Local> },
}

impl<'a> Undertaking<'a> {
    pub(crate) fn new(engine: &'a Engine, interrupt: &'a Interrupt, ground: Ground) -> Self {
        Self { engine, interrupt, ground, undo: Vec::new() }
    }

    pub(crate) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Carries out the steps, all of them or none.
    pub(crate) async fn carry_out(&mut self, steps: &[Step]) -> Result<(), Failure> {
        for step in steps {
            let outcome = match self.interrupt.check() {
                Ok(()) => self.step(step).await,
                interrupted => interrupted,
            };
            if outcome.is_err() {
                self.take_back().await;
                return outcome;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Create { gate, open, .. } => self.create(gate, open).await,
            Step::Change { gate, revision, open, close } => self.change(gate, *revision, open, close).await,
            Step::Remove { gate, revision, .. } => self.retire(gate, *revision).await,
        }
    }

    /// Makes a gate's container, gives it its state, and starts it.
    async fn create(&mut self, gate: &str, open: &[Mapping]) -> Result<(), Failure> {
        let id = self.ground.cluster.clone();
        let volume = volume(self.engine, &id).await?;
        let volume_labels = HashMap::from([
            (labels::CLUSTER.to_owned(), id.name.clone()),
            (labels::PROVIDER.to_owned(), id.provider.name().to_owned()),
        ]);
        if self.engine.ensure_volume(&volume, volume_labels).await? {
            self.undo.push(Undo::RemoveVolume(volume.clone()));
        }
        let published = open.iter().map(|mapping| mapping.local.clone()).collect();
        self.engine.create_gate(&self.ground.spec(self.engine, gate, volume, published)?).await?;
        self.undo.push(Undo::RemoveContainer(gate.to_owned()));
        let nodes = self.ground.nodes.clone().unwrap_or_default();
        let machine = self.ground.site.machine(self.engine)?;
        let state = GateState { machine, ..GateState::new(id, nodes, open.to_vec()).knowing(&self.ground.objects) };
        self.engine.write_state(gate, &state).await?;
        self.engine.start(gate).await?;
        Ok(())
    }

    async fn change(&mut self, gate: &str, revision: u64, open: &[Mapping], close: &[Mapping]) -> Result<(), Failure> {
        let change = Change {
            revision,
            open: open.to_vec(),
            close: close.iter().map(|mapping| mapping.local.clone()).collect(),
            nodes: self.ground.nodes.clone(),
            objects: self.ground.objects.clone(),
            machine: Some(self.ground.site.machine(self.engine)?),
        };
        let changed = self.ground.control(self.engine, gate).await?.request(&Request::Change(change)).await;
        if let Err(Failure::Client(ClientError::Refused(Refusal::Bind { .. }))) = changed {
            // Who holds the port says more than that it is taken.
            host_port::check(Some(self.engine), open).await?;
        }
        let closed: Vec<Local> = close.iter().map(|mapping| mapping.local.clone()).collect();
        warn_unsaved(gate, &closed, &changed?);
        let locals = open.iter().map(|mapping| mapping.local.clone()).collect();
        self.undo.push(Undo::Close { gate: gate.to_owned(), locals });
        Ok(())
    }

    /// Removes a gate once it has agreed that this is its end. The cluster's volume goes with the last gate.
    async fn retire(&mut self, gate: &str, revision: u64) -> Result<(), Failure> {
        self.ground.control(self.engine, gate).await?.request(&Request::Retire { revision }).await?;
        self.remove(gate).await?;
        if self.engine.gates(Some(&self.ground.cluster)).await?.is_empty() {
            self.engine.remove_volumes_of(&self.ground.cluster).await?;
        }
        Ok(())
    }

    /// Removes a gate's container, and all that the gate has made on the host.
    async fn remove(&self, gate: &str) -> Result<(), Failure> {
        let in_host = self.ground.site.placement == Placement::Host;
        if in_host {
            // It takes its rules and its control socket along.
            self.engine.stop(gate, GRACE).await?;
        }
        self.engine.remove(gate, true).await?;
        if in_host {
            leftovers::sweep(self.engine, &self.ground.cluster, &self.ground.network, &self.ground.image).await?;
        }
        Ok(())
    }

    /// Undoes the steps, last one first. A failure is told and does not keep the others from being undone.
    pub(crate) async fn take_back(&mut self) {
        while let Some(undo) = self.undo.pop() {
            let undone = match undo {
                Undo::RemoveContainer(name) => self.remove(&name).await,
                Undo::RemoveVolume(name) => self.engine.remove_volume(&name).await.map_err(Failure::from),
                Undo::Close { gate, locals } => self.close_again(&gate, locals).await,
            };
            if let Err(failure) = undone {
                view::warning(format!("not undone: {failure}"));
            }
        }
    }

    async fn close_again(&self, gate: &str, locals: Vec<Local>) -> Result<(), Failure> {
        let mut control = self.ground.control(self.engine, gate).await?;
        let revision = control.status().await?.revision;
        let change = Change { revision, close: locals, ..Change::default() };
        control.request(&Request::Change(change)).await.map(drop)
    }
}

/// Warns if a gate has done as it was asked, and could not write that down.
pub(crate) fn warn_unsaved(gate: &str, closed: &[Local], done: &Response) {
    let Response::Done { unsaved: Some(message), .. } = done else { return };
    let what = match closed {
        [] => "that".to_owned(),
        closed => {
            let ports: Vec<String> = closed.iter().map(ToString::to_string).collect();
            format!("that {} is closed", ports.join(", "))
        }
    };
    view::warning(format!("gate {gate} cannot save {what}: {message}"));
    view::hint(
        "if the gate starts again, it does what it did before; once it can write, `portgate ls` has it save that",
    );
}

/// Whether another portgate came first, so that the plan must be made anew.
pub(crate) fn lost_a_race(failure: &Failure) -> bool {
    match failure {
        // The name is taken, or the image is gone, since another version cleared up between its making and its use.
        Failure::Create(containers::Error::NameTaken { .. } | containers::Error::NoImage { .. })
        | Failure::Client(ClientError::Refused(Refusal::Stale { .. } | Refusal::Retired))
        // A gate that ran a moment ago does not any more.
        | Failure::Exec(containers::ControlError::NotRunning { .. }) => true,
        Failure::Call(error) | Failure::Exec(containers::ControlError::Engine(error)) => gone(error),
        _ => false,
    }
}

/// Whether a container is gone, or is being removed.
fn gone(error: &call::Error) -> bool {
    matches!(error.status(), Some(404 | 409))
}
