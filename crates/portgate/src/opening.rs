//! Opening mappings on a cluster: plan, carry out, prove.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use portgate_core::cluster::Cluster;
use portgate_core::control::Detail;
use portgate_core::host_port::{self, Wanted};
use portgate_core::kubernetes::Objects;
use portgate_core::limits::ANSWER_TIME;
use portgate_core::mapping::{Local, Mapping, Target};
use portgate_core::plan::{self, RunningGate, Step};
use portgate_core::status::{Datapath, Placement};
use portgate_core::table::{Means, NoBackend, View};
use portgate_docker::engine::Engine;
use portgate_docker::gate::{self as containers, GateContainer, RunState};

use crate::apply::{self, Ground, Undertaking, node_hosts};
use crate::args::{DatapathArgument, ImageArguments, PlacementArgument};
use crate::failure::Failure;
use crate::gates::{Gate, Gates};
use crate::interrupt::Interrupt;
use crate::site::{Site, own_addresses};
use crate::trial::{self, Method, Trial};
use crate::view::Progress;
use crate::{host_port as ports, packed};

/// How often a plan is made anew because another portgate was faster.
const ATTEMPTS: usize = 20;

/// How long to wait before that, for the other to finish what it does.
const WAIT: Duration = Duration::from_millis(100);

/// How old a gate's container must be that was never started to count as left behind by a portgate that was killed.
const LEFT_BEHIND: SignedDuration = SignedDuration::from_secs(30);

/// How long a new UDP port's reply is waited for: a node's answer takes a few milliseconds, and most services that get
/// a datagram they do not understand never answer.
pub(crate) const PROOF: Duration = Duration::from_millis(300);

/// Opens mappings on one cluster.
pub(crate) struct Opening<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) cluster: &'a Cluster,
    pub(crate) placement: Option<PlacementArgument>,
    pub(crate) datapath: Option<DatapathArgument>,
    pub(crate) image: &'a ImageArguments,
    pub(crate) interrupt: &'a Interrupt,
    /// What is known of the objects that the mappings name.
    pub(crate) objects: &'a Objects,
}

/// What is to be done.
pub(crate) struct Planned {
    steps: Vec<Step>,
    /// The names of the gates that there were.
    gates: Vec<String>,
    /// Where the cluster's gates run, or are to run.
    pub(crate) site: Site,
    /// What is to be open.
    pub(crate) mappings: Vec<Mapping>,
    /// What is open the same way already.
    pub(crate) open_already: Vec<Mapping>,
    /// A target that is the reason why the new gates get `NET_ADMIN`.
    pub(crate) needs_route: Option<Target>,
}

impl Planned {
    /// The steps, as they are shown to the user.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.steps.iter().map(ToString::to_string)
    }

    /// The mappings that are opened, with their gates' names.
    fn opened(&self) -> impl Iterator<Item = (&str, &[Mapping])> {
        self.steps.iter().filter_map(|step| match step {
            Step::Create { gate, open, .. } | Step::Change { gate, open, .. } => Some((gate.as_str(), open.as_slice())),
            Step::Remove { .. } => None,
        })
    }

    /// How many containers' ports Docker is to publish.
    pub(crate) fn published(&self) -> usize {
        let count = |step: &Step| match step {
            Step::Create { placement: Placement::Published, open, .. } => open.len(),
            _ => 0,
        };
        self.steps.iter().map(count).sum()
    }
}

impl Opening<'_> {
    /// Decides what is to be done to open these.
    pub(crate) async fn plan(&self, new: &[Wanted]) -> Result<Planned, Failure> {
        self.plan_around(new, &[]).await
    }

    /// Decides so, where other containers have some of the names that a new gate could have.
    async fn plan_around(&self, new: &[Wanted], taken: &[String]) -> Result<Planned, Failure> {
        let (running, names, site) = self.running().await?;
        let is_new = site.is_none();
        let mut site = self.site(site).await?;
        let open: Vec<Mapping> = running.iter().flat_map(|gate| gate.mappings.clone()).collect();
        let mappings = host_port::assign(new.to_vec(), &open, |local| self.is_free(local))?;
        let wanted = plan::with(&open, &mappings)?;
        let needs_route = self.needs_route(mappings.iter().filter(|mapping| !open.contains(mapping)))?;
        if let (Some(target), Datapath::Relay) = (&needs_route, site.datapath) {
            // A gate in published placement stays as it is; a further one may have more rights.
            if site.placement != Placement::Published || self.datapath.is_some() && is_new {
                return Err(Failure::NeedsRoute { target: target.clone() });
            }
            site.datapath = Datapath::Kernel;
        }
        let open_already = mappings.iter().filter(|mapping| open.contains(mapping)).cloned().collect();
        let all_names = [&names, taken].concat();
        let steps = plan::plan(&self.cluster.id, &wanted, &running, &all_names, site.placement);
        let needs_route = needs_route.filter(|_| site.placement == Placement::Published);
        Ok(Planned { steps, gates: names, site, mappings, open_already, needs_route })
    }

    /// Whether a port can be listened on, as far as this machine can tell.
    fn is_free(&self, local: &Local) -> bool {
        !self.engine.endpoint().is_local() || ports::is_free(local)
    }

    /// The first target that only a route leads to.
    fn needs_route<'m>(&self, mappings: impl Iterator<Item = &'m Mapping>) -> Result<Option<Target>, Failure> {
        let (nodes, seen, own) = (self.cluster.node_names(), self.cluster.addresses(), own_addresses(self.engine)?);
        let means = Means::Network { routes: false };
        let view = View { nodes: &nodes, seen: &seen, objects: self.objects, means, own: Some(&own) };
        let resolve = |mapping: &Mapping| view.resolve(&mapping.target, mapping.local.protocol);
        let unreached = mappings.into_iter().find(|mapping| matches!(resolve(mapping), Err(NoBackend::NoRoute { .. })));
        Ok(unreached.map(|mapping| mapping.target.clone()))
    }

    /// Where the gates are to run: where those do that there are. To ask for another place is an error then.
    async fn site(&self, present: Option<Site>) -> Result<Site, Failure> {
        let Some(site) = present else {
            return Site::choose(&self.engine.info().await?, self.placement, self.datapath);
        };
        let placement = self.placement.map_or(site.placement, Placement::from);
        let datapath = self.datapath.map_or(site.datapath, Datapath::from);
        if (Site { placement, datapath }) == site {
            Ok(site)
        } else {
            Err(Failure::OtherSite { cluster: self.cluster.id.name.clone(), site })
        }
    }

    /// Opens the mappings, all or none, and proves the new ones if `prove` says so.
    /// If Docker would have to publish more ports than `most`, none is opened.
    pub(crate) async fn open(
        &self,
        new: &[Wanted],
        prove: bool,
        most: usize,
    ) -> Result<(Planned, Vec<Trial>), Failure> {
        let mut taken = Vec::new();
        for _ in 0..ATTEMPTS {
            let planned = self.interrupt.abandon(self.plan_around(new, &taken)).await?;
            let published = planned.published();
            if published > most {
                return Err(Failure::Many { count: published });
            }
            match self.attempt(&planned, prove).await {
                // A port that portgate chose, and another program was faster to take, is chosen anew.
                Err(Failure::PortTaken { local, .. }) if !is_named(new, &local) => {}
                Err(failure) if self.lost_a_race(&failure, &planned).await? => {
                    // A gate that another portgate is making will be found in its time.
                    if let Failure::Create(containers::Error::NameTaken { name, .. }) = failure
                        && self.engine.is_of_others(&name, &self.cluster.id).await?
                    {
                        taken.push(name);
                    }
                    tokio::time::sleep(WAIT).await;
                }
                outcome => return outcome.map(|trials| (planned, trials)),
            }
        }
        Err(Failure::Contended { cluster: self.cluster.id.name.clone() })
    }

    /// Whether another portgate came first, so that the plan must be made anew: a port that is taken may be that of a gate
    /// which was not there yet when the plan was made.
    async fn lost_a_race(&self, failure: &Failure, planned: &Planned) -> Result<bool, Failure> {
        if !matches!(failure, Failure::PortTaken { .. }) {
            return Ok(apply::lost_a_race(failure));
        }
        let gates = self.engine.gates(Some(&self.cluster.id)).await?;
        Ok(!gates.iter().map(|gate| &gate.name).eq(&planned.gates))
    }

    async fn attempt(&self, planned: &Planned, prove: bool) -> Result<Vec<Trial>, Failure> {
        self.check_host_ports(planned).await?;
        let creates = planned.steps.iter().any(|step| matches!(step, Step::Create { .. }));
        let image = if creates {
            let info = self.engine.info().await?;
            packed::image(self.engine, &info, self.image, self.interrupt).await?
        } else {
            String::new()
        };
        let _progress = Progress::start("Opening");
        let ground = Ground {
            cluster: self.cluster.id.clone(),
            network: self.cluster.network.clone(),
            image,
            site: planned.site,
            nodes: Some(node_hosts(self.cluster)),
            objects: self.objects.clone(),
        };
        let mut undertaking = Undertaking::new(self.engine, self.interrupt, ground);
        undertaking.carry_out(&planned.steps).await?;
        let proven = self.interrupt.abandon(self.prove(undertaking.ground(), planned, prove)).await;
        if proven.is_err() {
            undertaking.take_back().await;
        }
        proven
    }

    /// An error if a host port of a new gate is taken, as far as this machine can tell.
    pub(crate) async fn check_host_ports(&self, planned: &Planned) -> Result<(), Failure> {
        if self.engine.endpoint().is_local() {
            for step in &planned.steps {
                if let Step::Create { open, .. } = step {
                    ports::check(Some(self.engine), open).await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until each mapping that was opened is listened for, and tries it if `prove` says so.
    async fn prove(&self, ground: &Ground, planned: &Planned, prove: bool) -> Result<Vec<Trial>, Failure> {
        let method = Method { from_host: self.engine.endpoint().is_local(), timeout: PROOF, exchange: None };
        let mut trials = Vec::new();
        for (gate, open) in planned.opened() {
            let mut control = ground.control(self.engine, gate).await?;
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

    /// The cluster's gates, all names that gates have, and where they run.
    async fn running(&self) -> Result<(Vec<RunningGate>, Vec<String>, Option<Site>), Failure> {
        let containers = self.settled_gates().await?;
        // A host gate takes what is new, whatever else there is.
        let host = containers.iter().find(|container| container.placement == Some(Placement::Host));
        let site = host.or(containers.first()).map(Site::of);
        let names = containers.iter().map(|container| container.name.clone()).collect();
        let list = containers.into_iter().map(Gate::Container).collect();
        let reports = Gates { engine: Some(self.engine.clone()), list }.reports(Detail::Brief, ANSWER_TIME).await?;
        let running: Result<Vec<RunningGate>, Failure> = reports
            .into_iter()
            .map(|report| {
                let (gate, status, _) = report.live()?;
                Ok(gate.running(&status))
            })
            .collect();
        Ok((running?, names, site))
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

/// Whether the user named this host port.
fn is_named(wanted: &[Wanted], local: &Local) -> bool {
    wanted.iter().any(|wanted| wanted.port == Some(local.port))
}
