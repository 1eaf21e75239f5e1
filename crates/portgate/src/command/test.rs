use portgate_core::control::Detail;
use portgate_core::limits::ANSWER_TIME;
use portgate_core::mapping::Local;
use portgate_core::port::Protocol;

use crate::args::{Format, TestArguments};
use crate::failure::Failure;
use crate::gates::{self, Contents, Gate, Report};
use crate::trial::{self, Exchange, Method, Trial, Verdict};
use crate::view;

/// Tries the way to open ports, hop by hop.
pub(crate) async fn test(arguments: TestArguments) -> Result<(), Failure> {
    let gates = gates::find().await?.named(&arguments.cluster).await?;
    let local = match &gates.engine {
        Some(engine) => engine.info().await?.local,
        None => true,
    };
    let mut reports = gates.reports(Detail::Brief, ANSWER_TIME).await?;
    let mut open: Vec<Local> = reports.iter().flat_map(Report::mappings).map(|mapping| mapping.local).collect();
    if let (true, Some(damaged)) = (open.is_empty(), reports.iter().position(|report| report.damage().is_some())) {
        return reports.swap_remove(damaged).live().map(drop);
    }
    reports.iter().filter_map(Report::damage).for_each(view::warn_of);
    open.sort();
    open.retain(|local| is_possible(&arguments, local));
    check_selectors(&arguments, open)?;
    let exchange = exchange(&arguments);
    let mut trials = Vec::new();
    for report in reports {
        let from_host = local || matches!(report.gate, Gate::Process { .. });
        let method = Method { from_host, timeout: arguments.timeout, exchange: exchange.clone() };
        trials.extend(try_gate(report, &arguments, &method).await?);
    }
    trials.sort_by(|a, b| a.local.cmp(&b.local));
    report(&arguments, &trials)
}

fn exchange(arguments: &TestArguments) -> Option<Exchange> {
    match (&arguments.http, &arguments.send, &arguments.expect) {
        (Some(path), _, _) => Some(Exchange::Http { path: path.clone(), host: arguments.host.clone() }),
        (None, None, None) => None,
        (None, send, expect) => Some(Exchange::Text { send: send.clone().unwrap_or_default(), expect: expect.clone() }),
    }
}

fn check_selectors(arguments: &TestArguments, open: Vec<Local>) -> Result<(), Failure> {
    let cluster = arguments.cluster.name().map(str::to_owned);
    if open.is_empty() {
        return Err(Failure::NothingOpen { cluster });
    }
    match arguments.ports.iter().find(|selector| !open.iter().any(|local| selector.matches(local))) {
        Some(selector) => Err(Failure::NotOpen { selector: selector.clone(), cluster, open }),
        None => Ok(()),
    }
}

/// HTTP runs over TCP only.
fn is_possible(arguments: &TestArguments, local: &Local) -> bool {
    arguments.http.is_none() || local.protocol == Protocol::Tcp
}

async fn try_gate(report: Report, arguments: &TestArguments, method: &Method) -> Result<Vec<Trial>, Failure> {
    let selectors = &arguments.ports;
    let is_meant = |local: &Local| selectors.is_empty() || selectors.iter().any(|selector| selector.matches(local));
    let mut mappings = report.mappings();
    mappings.retain(|mapping| is_possible(arguments, &mapping.local) && is_meant(&mapping.local));
    match report.contents {
        Contents::Live { mut control, .. } if !mappings.is_empty() => trial::run(&mut control, &mappings, method).await,
        Contents::Live { .. } => Ok(Vec::new()),
        Contents::Silent { .. } | Contents::Stopped { .. } => {
            let name = report.gate.name();
            let reason = match report.contents {
                Contents::Stopped { word, .. } => format!("gate {name} is {word}"),
                _ => format!("gate {name} does not answer"),
            };
            Ok(mappings.iter().map(|mapping| Trial::impossible(mapping, reason.clone())).collect())
        }
    }
}

fn report(arguments: &TestArguments, trials: &[Trial]) -> Result<(), Failure> {
    view::print(arguments.output.output, trials)?;
    if matches!(arguments.output.output, Format::Table | Format::Wide) {
        for trial in trials {
            if let Some(answer) = &trial.answer {
                view::block(&trial.local, answer.trim_end())?;
            }
        }
    }
    let broken = trials.iter().filter(|trial| trial.verdict == Verdict::Broken).count();
    if broken > 0 { Err(Failure::Broken { broken, tested: trials.len() }) } else { Ok(()) }
}
