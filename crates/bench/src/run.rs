//! A run from its beginning to its end.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::BenchArguments;
use crate::bed::Bed;
use crate::ground::Ground;
use crate::machine::Machine;
use crate::noise::Noise;
use crate::path::Path;
use crate::plan::{Plan, order};
use crate::plot;
use crate::ports::Ports;
use crate::report::Report;
use crate::results::{Quantity, Results};
use crate::{commands, footprint};

/// How far apart the rounds of one measurement begin in the order of the paths: an odd number, so that every second
/// round goes backwards.
const TURNS: usize = 3;

/// Measures, reports, and removes what it made, also after a failure and Ctrl-C.
pub(crate) async fn run(arguments: BenchArguments) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let plan = Plan::new(&arguments)?;
    raise_descriptor_limit();
    let ground = Ground::find(&arguments).await?;
    let outcome = tokio::select! {
        biased;
        _ = terminate.recv() => Err(anyhow::anyhow!("interrupted")),
        _ = interrupt.recv() => Err(anyhow::anyhow!("interrupted")),
        outcome = measure(&ground, &plan) => outcome,
    };
    for failure in ground.clear().await {
        eprintln!("warning: {failure:#}");
    }
    let report = outcome?;
    if let Some(path) = &arguments.svg {
        fs::write(path, plot::draw(&report.results)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{}", report.text());
    }
    Ok(())
}

async fn measure(ground: &Ground, plan: &Plan) -> anyhow::Result<Report> {
    let machine = Machine::observe(&ground.info.version).await;
    let mut noise = Noise::begin().await?;
    eprintln!("making the cluster {}", ground.name());
    let node = ground.make_cluster().await?;
    let mut ports = Ports::new();
    // First, for these gates are to be alone. Nothing of them is left when the paths are measured.
    let memory = if plan.memory { Some(footprint::memory(ground, &mut ports).await?) } else { None };
    let times = plan.rounds.max(3);
    let commands = if plan.commands { Some(commands::commands(ground, &mut ports, times).await?) } else { None };
    let mut results = Results::default();
    if !plan.measurements.is_empty() {
        eprintln!("making {} paths to its node", plan.paths.len());
        let mut bed = Bed::make(ground, node, &mut ports, &plan.paths).await?;
        for round in 1..=plan.rounds {
            measure_round(round, &mut bed, plan, &mut results).await?;
            bed.prove().await?;
            noise.rest().await?;
        }
        ensure!(!results.paths().is_empty(), "nothing could be measured");
    }
    Ok(Report { machine, noise, rounds: plan.rounds, window: plan.window.length, results, memory, commands })
}

/// Each measurement on each path in turn, so that what changes on the machine changes for all.
async fn measure_round(round: u32, bed: &mut Bed, plan: &Plan, results: &mut Results) -> anyhow::Result<()> {
    for (number, &measurement) in plan.measurements.iter().enumerate() {
        let mut line = format!("round {round} of {}, {measurement}:", plan.rounds);
        let paths: Vec<Path> = bed.routes.keys().copied().filter(|path| measurement.fits(*path)).collect();
        for path in order(&paths, number + round as usize * TURNS) {
            let route = bed.routes.get(&path).context("the path is gone")?;
            let said = match measurement.make(route, plan.window, &mut bed.meter).await {
                Ok(None) => continue,
                Ok(Some(reading)) => {
                    let rate = reading.get(&Quantity::Rate).copied().unwrap_or_default();
                    results.add(path, measurement, reading);
                    format!("{rate:.1}")
                }
                Err(error) => format!("failed ({error:#})"),
            };
            let _ = write!(line, " {} {said};", path.word());
        }
        eprintln!("{}", line.trim_end_matches(';'));
    }
    Ok(())
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // With a lower one there are fewer idle connections, and the report says how many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
