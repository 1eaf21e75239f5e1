use portgate_core::mapping::Local;
use portgate_core::spec::Selector;
use portgate_core::status::MappingStatus;

use crate::args::{Format, TestArguments};
use crate::failure::Failure;
use crate::gates::{self, Contents, Gate, Report};
use crate::trial::{self, Exchange, Method, Trial, Verdict};
use crate::view;

/// Tries the way to open ports, hop by hop.
pub(crate) async fn test(arguments: TestArguments) -> Result<(), Failure> {
    let gates = gates::find().await?.of_cluster_or_all(&arguments.cluster);
    let local = match &gates.engine {
        Some(engine) => engine.info().await?.local,
        None => true,
    };
    let reports = gates.reports().await?;
    let open: Vec<Local> = reports.iter().flat_map(Report::mappings).map(|mapping| mapping.local).collect();
    check_selectors(&arguments.ports, open)?;
    let exchange = exchange(&arguments);
    let mut trials = Vec::new();
    for report in reports {
        let from_host = local || matches!(report.gate, Gate::Process { .. });
        let method = Method { from_host, timeout: arguments.timeout, exchange: exchange.clone() };
        trials.extend(try_gate(report, &arguments.ports, &method).await?);
    }
    report(&arguments, &trials)
}

fn exchange(arguments: &TestArguments) -> Option<Exchange> {
    match (&arguments.http, &arguments.send, &arguments.expect) {
        (Some(path), _, _) => Some(Exchange::Http { path: path.clone(), host: arguments.host.clone() }),
        (None, None, None) => None,
        (None, send, expect) => Some(Exchange::Text { send: send.clone().unwrap_or_default(), expect: expect.clone() }),
    }
}

fn check_selectors(selectors: &[Selector], open: Vec<Local>) -> Result<(), Failure> {
    if open.is_empty() {
        return Err(Failure::NothingOpen { cluster: None });
    }
    match selectors.iter().find(|selector| !open.iter().any(|local| selector.matches(local))) {
        Some(selector) => Err(Failure::NotOpen { selector: selector.clone(), cluster: None, open }),
        None => Ok(()),
    }
}

async fn try_gate(report: Report, selectors: &[Selector], method: &Method) -> Result<Vec<Trial>, Failure> {
    let meant = |mapping: &MappingStatus| {
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(&mapping.local))
    };
    let mut mappings = report.mappings();
    mappings.retain(meant);
    match report.contents {
        Contents::Live { mut control, .. } if !mappings.is_empty() => trial::run(&mut control, &mappings, method).await,
        Contents::Live { .. } => Ok(Vec::new()),
        Contents::Stopped { word, .. } => {
            let reason = format!("gate {} is {word}", report.gate.name());
            Ok(mappings.iter().map(|mapping| Trial::impossible(mapping, reason.clone())).collect())
        }
    }
}

fn report(arguments: &TestArguments, trials: &[Trial]) -> Result<(), Failure> {
    view::print(arguments.output.output, trials)?;
    if matches!(arguments.output.output, Format::Table | Format::Wide) {
        for answer in trials.iter().filter_map(|trial| trial.answer.as_ref()) {
            view::line(format!("\n{}", answer.trim_end()));
        }
    }
    let broken = trials.iter().filter(|trial| trial.verdict == Verdict::Broken).count();
    if broken > 0 { Err(Failure::Broken { broken, tested: trials.len() }) } else { Ok(()) }
}
