//! A run from its beginning to its end.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::BenchArguments;
use crate::bed::Bed;
use crate::footprint;
use crate::ground::Ground;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::plot;
use crate::report::Report;
use crate::results::{Quantity, Results};

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
    eprintln!("making the cluster {} and {} paths to its node", ground.name(), plan.paths.len());
    let mut bed = Bed::make(ground, &plan.paths).await?;
    // First, for the gates that are measured have had no traffic then.
    let memory = if plan.memory { Some(footprint::memory(ground, &mut bed).await?) } else { None };
    let commands =
        if plan.commands { Some(footprint::commands(ground, &mut bed.ports, plan.rounds.max(3)).await?) } else { None };
    let results = rounds(&mut bed, plan).await?;
    if results.paths().is_empty() && !plan.measurements.is_empty() {
        bail!("nothing could be measured");
    }
    Ok(Report { machine, rounds: plan.rounds, window: plan.window.length, results, memory, commands })
}

/// Each measurement on each path in turn, so that what changes on the machine changes for all.
async fn rounds(bed: &mut Bed, plan: &Plan) -> anyhow::Result<Results> {
    let mut results = Results::default();
    for round in 1..=plan.rounds {
        for &measurement in &plan.measurements {
            let mut line = format!("round {round} of {}, {measurement}:", plan.rounds);
            for (&path, route) in bed.routes.iter().filter(|(path, _)| measurement.fits(**path)) {
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
    }
    Ok(results)
}

fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // With a lower one there are fewer idle connections, and the report says how many.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
