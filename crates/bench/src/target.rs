//! DESIGN's targets, and whether they are met.

use std::fmt;

use serde::Serialize;

use crate::commands::Commands;
use crate::footprint::Memory;
use crate::load::Direction;
use crate::measurement::{CONNECTIONS, DATAGRAMS, Measurement, STREAMS};
use crate::path::Path;
use crate::results::{Quantity, Results};

/// A promise, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Target {
    /// The promise.
    pub(crate) promise: &'static str,
    /// What was measured: of several values the one that is worst.
    pub(crate) measured: String,
    /// Whether it is kept.
    pub(crate) verdict: Verdict,
}

/// Whether a promise is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// Nobody knows.
    NotMeasured,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::NotMeasured => "not measured",
        })
    }
}

/// Judges each target by the medians.
pub(crate) fn judge(results: &Results, memory: Option<&Memory>, commands: Option<&Commands>) -> Vec<Target> {
    let mut targets = kernel(results);
    targets.extend(relay(results));
    targets.push(published(results, "published, TCP: 1.5 times nginx and haproxy", &tcp()));
    targets.push(published(results, "published, UDP: 1.5 times nginx", &udp()));
    targets.push(Target::missing(
        "forward: 1.5 times kubectl, 5 times for new connections",
        "see `cargo xtask bench forward`",
    ));
    targets.extend(memory.map(footprint).into_iter().flatten());
    targets.extend(commands.map(times).into_iter().flatten());
    targets
}

fn kernel(results: &Results) -> Vec<Target> {
    let target = |promise, bound: Bound, measurements: &[Measurement], quantity| {
        Target::new(
            promise,
            bound,
            bound.worst(ratios(results, Path::Kernel, &[Path::Straight], measurements, quantity)),
        )
    };
    let (connections, http) = ([Measurement::Connections], [Measurement::Http(CONNECTIONS[0])]);
    vec![
        target("kernel path, TCP: 0.95 of straight", Bound::AtLeast(0.95), &tcp(), Quantity::Rate),
        target("kernel path, UDP: 0.95 of straight", Bound::AtLeast(0.95), &udp(), Quantity::Rate),
        target("kernel path, new connections: 0.90 of straight", Bound::AtLeast(0.9), &connections, Quantity::Rate),
        target("kernel path, p99 of 32 connections: 1.10 of straight", Bound::AtMost(1.1), &http, Quantity::P99),
    ]
}

fn relay(results: &Results) -> Vec<Target> {
    let target = |promise, bound: Bound, peer, measurements: &[Measurement], quantity| {
        Target::new(promise, bound, bound.worst(ratios(results, Path::Relay, &[peer], measurements, quantity)))
    };
    let frame = [Measurement::Udp(DATAGRAMS[1])];
    let http = CONNECTIONS.map(Measurement::Http);
    let (once, four_times) = (Bound::AtLeast(1.0), Bound::AtLeast(4.0));
    vec![
        target("relay, TCP: 1.0 of haproxy", once, Path::Haproxy, &tcp(), Quantity::Rate),
        target("relay, UDP 1200 B: 4 times nginx", four_times, Path::Nginx, &frame, Quantity::Rate),
        target("relay, p99: no worse than haproxy's", Bound::AtMost(1.0), Path::Haproxy, &http, Quantity::P99),
    ]
}

/// Of our two ways, one has to keep the promise in all measurements. Both are shown.
fn published(results: &Results, promise: &'static str, measurements: &[Measurement]) -> Target {
    let bound = Bound::AtLeast(1.5);
    let peers = [Path::PublishedNginx, Path::PublishedHaproxy];
    let worst = |ours| bound.worst(ratios(results, ours, &peers, measurements, Quantity::Rate));
    let ways: Vec<(Path, Ratio)> =
        [Path::PublishedKernel, Path::Published].into_iter().filter_map(|ours| Some((ours, worst(ours)?))).collect();
    let Some((_, best)) = ways.iter().max_by(|a, b| by_ratio(&a.1, &b.1)) else { return Target::missing(promise, "") };
    let shown: Vec<String> = ways.iter().map(|(ours, ratio)| format!("{} {}", ours.word(), describe(ratio))).collect();
    Target { promise, measured: shown.join("; "), verdict: bound.judge(best.0) }
}

fn footprint(memory: &Memory) -> Vec<Target> {
    let at_most = |promise, value: f64, limit: f64, note: String| {
        let verdict = Bound::AtMost(limit).judge(value);
        Target { promise, measured: format!("{value:.1} MiB{note}"), verdict }
    };
    let disk = memory.executable.max(memory.image);
    let idle = memory.host.occupied().max(memory.published.occupied());
    let resident = format!(" (on the host {:.1} resident)", memory.host.resident);
    let connections = format!(" with {}", memory.connections);
    let (before, after) = (memory.host, memory.host_with_ports);
    let processes = after.processes.saturating_sub(before.processes);
    let threads = after.threads.saturating_sub(before.threads);
    let added = format!(", {processes} processes, {threads} threads");
    let mut ports =
        at_most("1,000 mapped ports: 5 MiB and no process", after.occupied() - before.occupied(), 5.0, added);
    if processes > 0 {
        ports.verdict = Verdict::Missed;
    }
    vec![
        at_most("a gate on disk: 20 MiB", disk, 20.0, String::new()),
        at_most("a gate when idle: 8 MiB", idle, 8.0, resident),
        at_most("a gate with 10,000 idle connections: 64 MiB", memory.with_connections.occupied(), 64.0, connections),
        ports,
    ]
}

fn times(commands: &Commands) -> Vec<Target> {
    let at_most = |promise, value: f64, limit: f64| Target {
        promise,
        measured: format!("{value:.0} ms"),
        verdict: Bound::AtMost(limit).judge(value),
    };
    vec![
        at_most("`open --no-wait` of one more port on the host: 50 ms", commands.host.open_no_wait, 50.0),
        at_most("`open` of one more port on the host, with its test: 80 ms", commands.host.open, 80.0),
        at_most("`open --no-wait` of 1,000 more ports on the host: 500 ms", commands.open_range, 500.0),
    ]
}

fn tcp() -> Vec<Measurement> {
    let ways = [Direction::Up, Direction::Down];
    STREAMS.into_iter().flat_map(|streams| ways.map(|way| Measurement::Tcp(streams, way))).collect()
}

fn udp() -> Vec<Measurement> {
    DATAGRAMS.map(Measurement::Udp).to_vec()
}

/// What a value is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    fn judge(self, value: f64) -> Verdict {
        let is_kept = match self {
            Self::AtLeast(limit) => value >= limit,
            Self::AtMost(limit) => value <= limit,
        };
        if is_kept { Verdict::Met } else { Verdict::Missed }
    }

    fn worst(self, ratios: Vec<Ratio>) -> Option<Ratio> {
        match self {
            Self::AtLeast(_) => ratios.into_iter().min_by(by_ratio),
            Self::AtMost(_) => ratios.into_iter().max_by(by_ratio),
        }
    }
}

/// A ratio, and of what to whom.
type Ratio = (f64, Measurement, Path);

fn ratios(
    results: &Results,
    ours: Path,
    peers: &[Path],
    measurements: &[Measurement],
    quantity: Quantity,
) -> Vec<Ratio> {
    let pairs = measurements.iter().flat_map(|&measurement| peers.iter().map(move |&peer| (measurement, peer)));
    pairs
        .filter_map(|(measurement, peer)| Some((results.ratio(ours, peer, measurement, quantity)?, measurement, peer)))
        .collect()
}

fn by_ratio(a: &Ratio, b: &Ratio) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0)
}

fn describe((ratio, measurement, peer): &Ratio) -> String {
    format!("{ratio:.2} ({measurement}, {})", peer.word())
}

impl Target {
    fn new(promise: &'static str, bound: Bound, worst: Option<Ratio>) -> Self {
        let Some(worst) = worst else { return Self::missing(promise, "") };
        Self { promise, measured: describe(&worst), verdict: bound.judge(worst.0) }
    }

    fn missing(promise: &'static str, why: &str) -> Self {
        Self { promise, measured: why.to_owned(), verdict: Verdict::NotMeasured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::OnePort;
    use crate::process::Footprint;
    use crate::results::Reading;

    fn results(quantity: Quantity, values: &[(Path, Measurement, f64)]) -> Results {
        let mut results = Results::default();
        for &(path, measurement, value) in values {
            results.add(path, measurement, Reading::from([(quantity, value)]));
        }
        results
    }

    fn verdict(targets: &[Target], promise: &str) -> (String, Verdict) {
        let target = targets.iter().find(|target| target.promise.starts_with(promise)).unwrap();
        (target.measured.clone(), target.verdict)
    }

    #[test]
    fn the_worst_value_decides() {
        let (up, down) = (Measurement::Tcp(1, Direction::Up), Measurement::Tcp(8, Direction::Down));
        let values =
            [(Path::Relay, up, 9.0), (Path::Haproxy, up, 8.0), (Path::Relay, down, 9.5), (Path::Haproxy, down, 10.0)];
        let targets = judge(&results(Quantity::Rate, &values), None, None);
        assert_eq!(verdict(&targets, "relay, TCP"), ("0.95 (tcp-8-down, haproxy)".to_owned(), Verdict::Missed));
        assert_eq!(verdict(&targets, "relay, UDP").1, Verdict::NotMeasured);
    }

    #[test]
    fn the_kernel_path_may_be_slower_by_what_is_allowed() {
        let http = Measurement::Http(32);
        let late = |p99| results(Quantity::P99, &[(Path::Kernel, http, p99), (Path::Straight, http, 10.0)]);
        let judged = |p99| verdict(&judge(&late(p99), None, None), "kernel path, p99").1;
        assert_eq!([judged(10.9), judged(11.1)], [Verdict::Met, Verdict::Missed]);
    }

    #[test]
    fn the_better_of_two_published_ways_is_judged_and_both_are_shown() {
        let up = Measurement::Tcp(1, Direction::Up);
        let values = [(Path::Published, up, 12.0), (Path::PublishedKernel, up, 16.0), (Path::PublishedNginx, up, 10.0)];
        let (measured, verdict) = verdict(&judge(&results(Quantity::Rate, &values), None, None), "published, TCP");
        assert_eq!(
            measured,
            "published-kernel 1.60 (tcp-1-up, published-nginx); published 1.20 (tcp-1-up, published-nginx)"
        );
        assert_eq!(verdict, Verdict::Met);
    }

    #[test]
    fn memory_is_judged_by_the_larger_gate() {
        let of = |resident| Footprint { resident, proportional: None, threads: 2, processes: 1 };
        let memory = Memory {
            host: of(4.0),
            host_with_ports: of(7.0),
            published: of(8.5),
            with_connections: of(60.0),
            ..Memory::default()
        };
        let verdicts: Vec<Verdict> = footprint(&memory).iter().map(|target| target.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed, Verdict::Met, Verdict::Met]);
        let forked = Memory { host_with_ports: Footprint { processes: 2, ..of(7.0) }, ..memory };
        assert_eq!(footprint(&forked)[3].verdict, Verdict::Missed);
    }

    #[test]
    fn commands_are_judged_by_their_own_limits() {
        let host = OnePort { open_no_wait: 40.0, open: 81.0, close: 1000.0 };
        let verdicts: Vec<Verdict> = times(&Commands { host, open_range: 500.0, ..Commands::default() })
            .iter()
            .map(|target| target.verdict)
            .collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed, Verdict::Met]);
    }
}
