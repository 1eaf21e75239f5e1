//! One run: a world, its load, and one fault after the other.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::act::act;
use crate::check::{Broken, Measured, check};
use crate::fault::{Fault, Flow};
use crate::load::{LIMIT, Load};
use crate::model::{BUSY, Failures, Period, promise};
use crate::report::{Failure, Report};
use crate::schedule::{Schedule, Step};
use crate::world::World;
use crate::world::process::within;

/// How long no exchange may have failed until a fault counts as over.
const QUIET: Duration = Duration::from_millis(500);

/// How long is waited beyond all promises, to see whether a flow works at all.
const BEYOND: Duration = Duration::from_secs(5);

/// How soon after a fault a gate says itself that all is well.
const WELL: Duration = Duration::from_secs(1);

/// How long the traffic may take until it flows at first.
const FIRST: Duration = Duration::from_secs(15);

/// What is to be done.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// After this time no further fault begins.
    pub(crate) lasts: Duration,
    /// After this step there is no other.
    pub(crate) steps: u32,
    /// Of the schedule, only faults whose names contain this.
    pub(crate) only: Option<String>,
    /// Go on in a new world after a failure.
    pub(crate) keep_going: bool,
    /// portgate's executable.
    pub(crate) portgate: Option<PathBuf>,
}

/// What a run has found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) report: Report,
    pub(crate) failures: Vec<Failure>,
    /// What was left at the end.
    pub(crate) left: Vec<String>,
    /// The run was ended from outside.
    pub(crate) interrupted: bool,
}

/// Does one fault after the other, until the time is up, a promise is broken, or `interrupt` says so.
pub(crate) async fn run(options: &Options, interrupt: impl Future<Output = ()>) -> anyhow::Result<Findings> {
    let mut findings = Findings::default();
    let mut interrupt = std::pin::pin!(interrupt);
    let end = Instant::now() + options.lasts;
    let is_meant = |step: &Step| options.only.as_ref().is_none_or(|text| step.fault.to_string().contains(text));
    let mut schedule = Schedule::new(options.seed).take_while(|step| step.number <= options.steps).filter(is_meant);
    loop {
        let mut world = World::find(options.portgate.as_deref()).await?;
        let outcome = tokio::select! {
            outcome = live(&mut world, &mut schedule, options.seed, end, &mut findings) => outcome,
            () = &mut interrupt => {
                findings.interrupted = true;
                Ok(())
            }
        };
        let failures = findings.failures.len();
        findings.left.extend(world.clear().await);
        outcome?;
        let goes_on = options.keep_going && failures > 0 && Instant::now() < end;
        if findings.interrupted || !goes_on {
            return Ok(findings);
        }
        println!("(the clusters are made again)");
    }
}

/// One world, up to the first broken promise.
async fn live(
    world: &mut World,
    schedule: &mut impl Iterator<Item = Step>,
    seed: u64,
    end: Instant,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    println!("making two clusters, their gates and a forward");
    world.make().await?;
    let load = Load::start(&world.places(), seed);
    let began = Instant::now();
    let flows = async || load.records().all(|(_, record)| record.works(began, Duration::ZERO)).then_some(());
    if within(FIRST, flows).await.is_none() {
        let still = load.records().filter(|(_, record)| !record.works(began, Duration::ZERO));
        let still: Vec<String> = still.map(|(flow, _)| flow.to_string()).collect();
        anyhow::bail!("no traffic flows, before any fault: {}", still.join(", "));
    }
    for (_, record) in load.records() {
        record.take();
    }
    while Instant::now() < end
        && let Some(step) = schedule.next()
    {
        sleep(step.rest).await;
        println!("step {}: {}", step.number, step.fault);
        let broken = match one(world, &load, step.fault).await {
            Ok(measured) => {
                findings.report.add(step.fault, &measured);
                continue;
            }
            Err(broken) => broken,
        };
        let log = world.log(step.fault.subject()).await;
        let failure = Failure { seed, step, expected: broken.expected, seen: broken.seen, log };
        println!("\n{failure}\n");
        findings.failures.push(failure);
        return Ok(());
    }
    Ok(())
}

/// One fault, and what became of all flows.
async fn one(world: &mut World, load: &Load, fault: Fault) -> Result<Vec<(Flow, Measured)>, Broken> {
    let begin = Instant::now();
    let end = act(world, fault).await.map_err(|error| Broken {
        expected: "each command and its port do as they should".to_owned(),
        seen: format!("{error:#}"),
    })?;
    let period = Period { begin, end };
    wait(load, fault, period).await;
    let measured = check_all(load, fault, period)?;
    let well = within(WELL + BUSY, async || match world.complaint(fault.subject()).await {
        None => Some(()),
        Some(_) => None,
    });
    if well.await.is_none() {
        let seen = world.complaint(fault.subject()).await.unwrap_or_else(|| "it says so too late".to_owned());
        return Err(Broken { expected: "the gate says that all its ports are open".to_owned(), seen });
    }
    Ok(measured)
}

/// Waits until all flows work again, or should have for long, and until what is under way has ended.
async fn wait(load: &Load, fault: Fault, period: Period) {
    let last = |flow| {
        let promise = promise(fault, flow);
        let failures = match promise.failures {
            Failures::None => period.end,
            Failures::Cut(until) | Failures::Any(until) => until.instant(period),
        };
        failures.max(promise.silence.instant(period))
    };
    let limit = load.records().map(|(flow, _)| last(flow)).max().unwrap_or(period.end) + BEYOND;
    let left = limit.saturating_duration_since(Instant::now());
    let works = async || load.records().all(|(_, record)| record.works(period.end, QUIET)).then_some(());
    within(left, works).await;
    let now = Instant::now();
    let settled = async || load.records().all(|(_, record)| record.is_settled(now)).then_some(());
    within(LIMIT + BUSY, settled).await;
}

fn check_all(load: &Load, fault: Fault, period: Period) -> Result<Vec<(Flow, Measured)>, Broken> {
    let now = Instant::now();
    let check = |(flow, record): (Flow, &crate::load::Record)| {
        let measured = check(flow, promise(fault, flow), period, now, &record.take())?;
        Ok((flow, measured))
    };
    load.records().map(check).collect()
}
