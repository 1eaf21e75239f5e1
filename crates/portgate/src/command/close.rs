use portgate_core::control::{Change, Detail, Request};
use portgate_core::kubernetes::Objects;
use portgate_core::limits::ANSWER_TIME;
use portgate_core::mapping::{Local, Mapping};
use portgate_core::plan::{self, RunningGate, Step};
use portgate_core::status::Placement;
use portgate_docker::gate::GateContainer;
use portgate_gate::paths::ProcessPaths;

use crate::apply::{Ground, Undertaking, lost_a_race, warn_unsaved};
use crate::args::CloseArguments;
use crate::failure::Failure;
use crate::gates::{self, Contents, Control, Gate};
use crate::interrupt::Interrupt;
use crate::process_gate;
use crate::site::Site;
use crate::view;

/// How often a plan is made anew because another portgate was faster.
const ATTEMPTS: usize = 5;

/// Closes ports.
pub(crate) async fn close(arguments: CloseArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    for _ in 0..ATTEMPTS {
        match attempt(&arguments, interrupt).await {
            Err(failure) if lost_a_race(&failure) => {}
            outcome => return outcome,
        }
    }
    Err(Failure::Contended { cluster: arguments.cluster.cluster.unwrap_or_default() })
}

async fn attempt(arguments: &CloseArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let found = async {
        let (cluster, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
        Ok((cluster, gates.engine.clone(), gates.reports(Detail::Brief, ANSWER_TIME).await?))
    };
    let (cluster, engine, reports) = interrupt.abandon(found).await?;
    let mut containers: Vec<(GateContainer, RunningGate)> = Vec::new();
    let mut processes: Vec<Process> = Vec::new();
    for report in reports {
        // A forward that is stopped has no port open.
        if let (Gate::Process { .. }, Contents::Stopped { .. }) = (&report.gate, &report.contents) {
            continue;
        }
        let (gate, status, control) = report.live()?;
        let running = gate.running(&status);
        match gate {
            Gate::Container(container) => containers.push((container, running)),
            Gate::Process { paths, .. } => {
                processes.push(Process { paths, control, revision: status.revision, mappings: running.mappings });
            }
        }
    }
    let carried = containers.iter().flat_map(|(_, running)| &running.mappings);
    let open: Vec<&Mapping> = carried.chain(processes.iter().flat_map(|process| &process.mappings)).collect();
    let gone = meant(arguments, &open, &cluster.name)?;

    let running: Vec<RunningGate> = containers.iter().map(|(_, running)| running.clone()).collect();
    let wanted: Vec<Mapping> = running
        .iter()
        .flat_map(|gate| &gate.mappings)
        .filter(|mapping| !gone.contains(&mapping.local))
        .cloned()
        .collect();
    let steps = plan::plan(&cluster, &wanted, &running, &[], Placement::Published);
    if arguments.dry_run {
        for step in &steps {
            view::line(step)?;
        }
        for process in &processes {
            for mapping in process.mappings.iter().filter(|mapping| gone.contains(&mapping.local)) {
                view::line(format!("change {}: close {mapping}", process_gate::name(&process.paths)))?;
            }
        }
        return Ok(());
    }
    if let (Some(engine), Some((container, _))) = (&engine, containers.first()) {
        let ground = Ground {
            cluster,
            network: container.network.clone(),
            image: container.image_id.clone(),
            site: Site::of(container),
            nodes: None,
            objects: Objects::default(),
        };
        Undertaking::new(engine, interrupt, ground).carry_out(&steps).await?;
    }
    for process in processes {
        process.close(&gone).await?;
    }
    for local in &gone {
        view::note(format!("{local} is closed"));
    }
    for step in &steps {
        let published = |gate: &str| {
            containers.iter().any(|(it, _)| it.name == gate && Site::of(it).placement == Placement::Published)
        };
        if let Step::Change { gate, close, .. } = step
            && published(gate)
        {
            let ports = close.iter().map(|mapping| mapping.local.to_string()).collect::<Vec<_>>().join(", ");
            view::note(format!("Docker keeps {ports} reserved for container {gate} until its other ports close"));
        }
    }
    Ok(())
}

/// The local ends that the arguments mean. A selector that means none is an error.
fn meant(arguments: &CloseArguments, open: &[&Mapping], cluster: &str) -> Result<Vec<Local>, Failure> {
    for selector in &arguments.ports {
        if !open.iter().any(|mapping| selector.matches(&mapping.local)) {
            let mut open: Vec<Local> = open.iter().map(|mapping| mapping.local.clone()).collect();
            open.sort();
            return Err(Failure::NotOpen { selector: selector.clone(), cluster: Some(cluster.to_owned()), open });
        }
    }
    let meant = |local: &Local| arguments.all || arguments.ports.iter().any(|selector| selector.matches(local));
    Ok(open.iter().map(|mapping| mapping.local.clone()).filter(meant).collect())
}

/// A gate in process placement.
struct Process {
    paths: ProcessPaths,
    control: Control,
    revision: u64,
    mappings: Vec<Mapping>,
}

impl Process {
    /// Closes these of its mappings. Without any, it has nothing to live for.
    async fn close(mut self, gone: &[Local]) -> Result<(), Failure> {
        let close: Vec<Local> =
            self.mappings.iter().map(|mapping| mapping.local.clone()).filter(|local| gone.contains(local)).collect();
        if close.len() == self.mappings.len() {
            return process_gate::end(&self.paths).await;
        }
        let change = Change { revision: self.revision, close: close.clone(), ..Change::default() };
        let done = self.control.request(&Request::Change(change)).await?;
        warn_unsaved(&process_gate::name(&self.paths), &close, &done);
        Ok(())
    }
}
