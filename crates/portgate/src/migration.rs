//! Moving a cluster's ports from the gates that carry them to another placement or datapath.
//!
//! Two listeners cannot share a port, so a port is free for a moment while it moves. What can be known before that is
//! found out first: a gate in host placement rehearses, it opens the same targets on other ports of 127.0.0.1. What is
//! worse after a move than before it is put back.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use portgate_core::cluster::Cluster;
use portgate_core::kubernetes::Objects;
use portgate_core::mapping::{HostAddresses, Local, Mapping};
use portgate_core::plan::{self, RunningGate, Step};
use portgate_core::port::{Port, Protocol};
use portgate_core::status::{MappingStatus, Placement};
use portgate_docker::engine::Engine;
use portgate_docker::gate::GateContainer;

use crate::apply::{Ground, Undertaking, node_hosts};
use crate::failure::Failure;
use crate::gates::{Control, Gate, Report};
use crate::interrupt::Interrupt;
use crate::opening::PROOF;
use crate::site::Site;
use crate::trial::{self, Method, Trial, Verdict};

/// A migration of one cluster.
pub(crate) struct Migration<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) cluster: &'a Cluster,
    /// Where the ports are to go.
    pub(crate) site: Site,
    /// What new gates are made from.
    pub(crate) image: String,
    /// What the gates know of the Kubernetes objects that their mappings name.
    pub(crate) objects: Objects,
}

/// A gate that is to be replaced.
struct Old {
    container: GateContainer,
    running: RunningGate,
    /// What its ports were worth, in the order of its mappings.
    before: Vec<Trial>,
}

impl Migration<'_> {
    /// Moves the ports of these gates, beside others that are there already. Returns how many ports were moved.
    pub(crate) async fn carry_out(&self, moving: Vec<Report>) -> Result<usize, Failure> {
        let mut old = Vec::new();
        for report in moving {
            let (gate, status, mut control) = report.live()?;
            let running = gate.running(&status);
            let before = self.interrupt.abandon(self.try_out(&mut control, &status.mappings)).await?;
            if let Gate::Container(container) = gate {
                old.push(Old { container, running, before });
            }
        }
        let count = old.iter().map(|old| old.running.mappings.len()).sum();
        let (same_place, elsewhere): (Vec<Old>, Vec<Old>) =
            old.into_iter().partition(|old| old.running.placement == self.site.placement);
        for old in same_place {
            let replaced = async {
                self.ground(self.site).replace(self.engine, &old.container).await?;
                self.compare(&old.container.name, &old.running.mappings, &old.before).await
            };
            if let Err(failure) = replaced.await {
                self.ground(Site::of(&old.container)).replace(self.engine, &old.container).await?;
                return Err(failure);
            }
        }
        if !elsewhere.is_empty() {
            self.move_all(elsewhere).await?;
        }
        Ok(count)
    }

    fn ground(&self, site: Site) -> Ground {
        Ground {
            cluster: self.cluster.id.clone(),
            network: self.cluster.network.clone(),
            image: self.image.clone(),
            site,
            nodes: Some(node_hosts(self.cluster)),
            objects: self.objects.clone(),
        }
    }

    async fn move_all(&self, old: Vec<Old>) -> Result<(), Failure> {
        let mut new = self.arrived().await?;
        let mut names: Vec<String> = old.iter().map(|old| old.container.name.clone()).collect();
        names.extend(new.iter().map(|gate| gate.name.clone()));
        if self.site.placement == Placement::Host {
            self.rehearse(&old, &new, &names).await?;
        }
        for old in old {
            self.interrupt.check()?;
            let mut wanted: Vec<Mapping> = new.iter().flat_map(|gate| gate.mappings.clone()).collect();
            wanted.extend(old.running.mappings.clone());
            let steps = plan::plan(&self.cluster.id, &wanted, &new, &names, self.site.placement);
            self.swap(&old, &steps).await?;
            new = self.arrived().await?;
            names.extend(new.iter().map(|gate| gate.name.clone()));
        }
        Ok(())
    }

    /// Opens the targets on other ports, in a gate that goes again, and compares what they are worth there.
    async fn rehearse(&self, old: &[Old], new: &[RunningGate], names: &[String]) -> Result<(), Failure> {
        let mappings: Vec<Mapping> = old.iter().flat_map(|old| &old.running.mappings).filter_map(rehearsal).collect();
        let before: Vec<Trial> = old.iter().flat_map(|old| old.before.clone()).collect();
        let mut wanted: Vec<Mapping> = new.iter().flat_map(|gate| gate.mappings.clone()).collect();
        wanted.extend(mappings.clone());
        let steps = plan::plan(&self.cluster.id, &wanted, new, names, self.site.placement);
        let mut undertaking = Undertaking::new(self.engine, self.interrupt, self.ground(self.site));
        undertaking.carry_out(&steps).await?;
        let mut outcome = Ok(());
        for step in &steps {
            if let Step::Create { gate, .. } | Step::Change { gate, .. } = step {
                outcome = outcome.and(self.interrupt.abandon(self.compare(gate, &mappings, &before)).await);
            }
        }
        undertaking.take_back().await;
        outcome
    }

    /// Drops a gate and opens its ports anew; puts it back if that fails.
    async fn swap(&self, old: &Old, steps: &[Step]) -> Result<(), Failure> {
        let name = &old.container.name;
        let drop =
            Step::Remove { gate: name.clone(), revision: old.running.revision, close: old.running.mappings.clone() };
        let old_site = Site::of(&old.container);
        Undertaking::new(self.engine, self.interrupt, self.ground(old_site)).carry_out(&[drop]).await?;
        let mut undertaking = Undertaking::new(self.engine, self.interrupt, self.ground(self.site));
        let outcome = match undertaking.carry_out(steps).await {
            Ok(()) => self.compare_all(steps, old).await,
            failed => failed,
        };
        if outcome.is_err() {
            undertaking.take_back().await;
            let again = Step::Create {
                gate: name.clone(),
                placement: old.running.placement,
                open: old.running.mappings.clone(),
            };
            Undertaking::new(self.engine, self.interrupt, self.ground(old_site)).carry_out(&[again]).await?;
        }
        outcome
    }

    async fn compare_all(&self, steps: &[Step], old: &Old) -> Result<(), Failure> {
        for step in steps {
            if let Step::Create { gate, open, .. } | Step::Change { gate, open, .. } = step {
                self.compare(gate, open, &old.before).await?;
            }
        }
        Ok(())
    }

    /// An error if a target is broken by the way of this gate that was not before.
    async fn compare(&self, gate: &str, mappings: &[Mapping], before: &[Trial]) -> Result<(), Failure> {
        let mut control = self.ground(self.site).control(self.engine, gate).await?;
        let mut statuses = control.status().await?.mappings;
        statuses.retain(|status| mappings.iter().any(|mapping| mapping.local == status.local));
        let after = self.try_out(&mut control, &statuses).await?;
        let worse = |now: &&Trial| {
            now.verdict == Verdict::Broken
                && before.iter().any(|then| {
                    then.target == now.target
                        && then.local.protocol == now.local.protocol
                        && then.verdict != Verdict::Broken
                })
        };
        match after.iter().find(worse) {
            Some(trial) => Err(Failure::WorseThanBefore { target: trial.target.clone(), why: trial.summary() }),
            None => Ok(()),
        }
    }

    async fn try_out(&self, control: &mut Control, mappings: &[MappingStatus]) -> Result<Vec<Trial>, Failure> {
        let method = Method { from_host: self.engine.endpoint().is_local(), timeout: PROOF, exchange: None };
        trial::run(control, mappings, &method).await
    }

    /// The gates that are where the ports shall go, as they are now.
    async fn arrived(&self) -> Result<Vec<RunningGate>, Failure> {
        let ground = self.ground(self.site);
        let mut arrived = Vec::new();
        for container in self.engine.gates(Some(&self.cluster.id)).await? {
            if Site::of(&container) == self.site {
                let status = ground.control(self.engine, &container.name).await?.status().await?;
                arrived.push(Gate::Container(container).running(&status));
            }
        }
        Ok(arrived)
    }
}

/// The same target, on a port of 127.0.0.1 that is free now.
fn rehearsal(mapping: &Mapping) -> Option<Mapping> {
    let protocol = mapping.local.protocol;
    let free = match protocol {
        Protocol::Tcp => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()),
        Protocol::Udp => UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()),
    };
    let port = Port::new(free.ok()?.port())?;
    let local = Local { addresses: HostAddresses::single(Ipv4Addr::LOCALHOST.into()), port, protocol };
    Some(Mapping { local, target: mapping.target.clone() })
}
