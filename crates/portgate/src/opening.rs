//! Opening mappings on a cluster: plan, carry out, prove.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portgate_core::cluster::Cluster;
use portgate_core::mapping::{Local, Mapping};
use portgate_core::plan::{self, RunningGate, Step};
use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::gate::{GateContainer, RunState};

use crate::apply::{Ground, Undertaking, lost_a_race, node_hosts};
use crate::args::ImageArguments;
use crate::failure::Failure;
use crate::gates::{Control, Gate, Gates};
use crate::interrupt::Interrupt;
use crate::trial::{self, Method, Trial};
use crate::view::Progress;
use crate::{host_port, packed};

/// How often a plan is made anew because another portgate was faster.
const ATTEMPTS: usize = 20;

/// How long to wait before that, for the other to finish what it does.
const WAIT: Duration = Duration::from_millis(100);

/// How old a gate's container must be that was never started to count as left behind by a portgate that was killed.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_secs(30);

/// How long a new UDP port's reply is waited for: a node's answer takes a few milliseconds, and most services that get
/// a datagram they do not understand never answer.
const PROOF: Duration = Duration::from_millis(300);

/// Opens mappings on one cluster.
pub(crate) struct Opening<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) info: &'a EngineInfo,
    pub(crate) cluster: &'a Cluster,
    pub(crate) image: &'a ImageArguments,
    pub(crate) interrupt: &'a Interrupt,
}

/// What is to be done.
pub(crate) struct Planned {
    steps: Vec<Step>,
    /// What is open the same way already.
    pub(crate) open_already: Vec<Mapping>,
}

impl Planned {
    /// The steps, as they are shown to the user.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(ToString::to_string)
    }

    /// The mappings that are opened, with their gates' names.
    fn opened(&self) -> impl Iterator<Item = (&str, &[Mapping])> {
        self.steps.iter().filter_map(|step| match step {
            Step::Create { gate, open } | Step::Change { gate, open, .. } => Some((gate.as_str(), open.as_slice())),
            Step::Remove { .. } => None,
        })
    }
}

impl Opening<'_> {
    /// Decides what is to be done to open these mappings.
    pub(crate) async fn plan(&self, new: &[Mapping]) -> Result<Planned, Failure> {
        let (running, names) = self.running().await?;
        let open: Vec<Mapping> = running.iter().flat_map(|gate| gate.mappings.clone()).collect();
        let wanted = plan::with(&open, new)?;
        let open_already = new.iter().filter(|mapping| open.contains(mapping)).cloned().collect();
        Ok(Planned { steps: plan::plan(&self.cluster.id, &wanted, &running, &names), open_already })
    }

    /// Opens the mappings, all or none, and proves the new ones if `prove` says so.
    pub(crate) async fn open(&self, new: &[Mapping], prove: bool) -> Result<(Planned, Vec<Trial>), Failure> {
        for _ in 0..ATTEMPTS {
            let planned = self.interrupt.abandon(self.plan(new)).await?;
            match self.attempt(&planned, prove).await {
                Err(failure) if lost_a_race(&failure) => tokio::time::sleep(WAIT).await,
                outcome => return outcome.map(|trials| (planned, trials)),
            }
        }
        Err(Failure::Contended { cluster: self.cluster.id.name.clone() })
    }

    async fn attempt(&self, planned: &Planned, prove: bool) -> Result<Vec<Trial>, Failure> {
        self.check_host_ports(planned).await?;
        let creates = planned.steps.iter().any(|step| matches!(step, Step::Create { .. }));
        let image = if creates {
            packed::image(self.engine, self.info, self.image, self.interrupt).await?
        } else {
            String::new()
        };
        let _progress = Progress::start("Opening");
        let ground = Ground {
            cluster: self.cluster.id.clone(),
            network: self.cluster.network.clone(),
            image,
            nodes: Some(node_hosts(self.cluster)),
        };
        let mut undertaking = Undertaking::new(self.engine, self.interrupt, ground);
        undertaking.carry_out(&planned.steps).await?;
        let proven = self.interrupt.abandon(self.prove(planned, prove)).await;
        if proven.is_err() {
            undertaking.take_back().await;
        }
        proven
    }

    /// An error if a host port of a new gate is taken, as far as this machine can tell.
    pub(crate) async fn check_host_ports(&self, planned: &Planned) -> Result<(), Failure> {
        if self.info.local {
            for step in &planned.steps {
                if let Step::Create { open, .. } = step {
                    host_port::check(self.engine, open).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until each mapping that was opened is listened for, and tries it if `prove` says so.
    async fn prove(&self, planned: &Planned, prove: bool) -> Result<Vec<Trial>, Failure> {
        let method = Method { from_host: self.info.local, timeout: PROOF, exchange: None };
        let mut trials = Vec::new();
        for (gate, open) in planned.opened() {
            let mut control = Control::exec(self.engine, gate).await?;
            let mut mappings = control.status().await?.mappings;
            if !prove {
                continue;
            }
            let locals: Vec<&Local> = open.iter().map(|mapping| &mapping.local).collect();
            mappings.retain(|mapping| locals.contains(&&mapping.local));
            trials.extend(trial::run(&mut control, &mappings, &method).await?);
        }
        Ok(trials)
    }

    /// The cluster's gates, and all names that gates have.
    async fn running(&self) -> Result<(Vec<RunningGate>, Vec<String>), Failure> {
        let containers = self.settled_gates().await?;
        let names = containers.iter().map(|container| container.name.clone()).collect();
        let list = containers.into_iter().map(Gate::Container).collect();
        let reports = Gates { engine: Some(self.engine.clone()), list }.reports().await?;
        let running: Result<Vec<RunningGate>, Failure> = reports
            .into_iter()
            .map(|report| {
                let (gate, status, _) = report.live()?;
                Ok(gate.running(&status))
            })
            .collect();
        Ok((running?, names))
    }

    /// The cluster's gates, once none of them is about to be started by another portgate. One that was left behind by a
    /// portgate that was killed is removed.
    async fn settled_gates(&self) -> Result<Vec<GateContainer>, Failure> {
        for _ in 0..ATTEMPTS {
            let gates = self.engine.gates(Some(&self.cluster.id)).await?;
            let Some(unfinished) = gates.iter().find(|gate| gate.state == RunState::Created) else { return Ok(gates) };
            Gate::Container(unfinished.clone()).check_version()?;
            if Timestamp::now().duration_since(unfinished.created) > LEFT_BEHIND {
                self.engine.remove(&unfinished.name, false).await?;
            } else {
                tokio::time::sleep(WAIT).await;
            }
        }
        Err(Failure::Contended { cluster: self.cluster.id.name.clone() })
    }
}
