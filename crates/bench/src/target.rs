//! DESIGN's targets, and whether they are met.

use std::fmt;

use serde::Serialize;

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
pub(crate) fn judge(results: &Results, memory: Option<&Memory>) -> Vec<Target> {
    let tcp = || STREAMS.into_iter().flat_map(|n| [Direction::Up, Direction::Down].map(|way| Measurement::Tcp(n, way)));
    let udp = || DATAGRAMS.into_iter().map(Measurement::Udp);
    let http = || CONNECTIONS.into_iter().map(Measurement::Http);
    let at_least = |promise, limit, ours, peers: &[Path], measurements: Vec<Measurement>| {
        let worst = ratios(results, ours, peers, measurements, Quantity::Rate).into_iter().min_by(by_ratio);
        Target::new(promise, worst, |ratio| ratio >= limit)
    };
    let slowest = ratios(results, Path::Relay, &[Path::Haproxy], http().collect(), Quantity::P99);
    let published = [Path::PublishedNginx, Path::PublishedHaproxy];
    let mut targets = vec![
        Target::missing("kernel path: 0.95 of straight, connections 0.90, p99 1.10", "not in this version"),
        at_least("relay on the host, TCP: 1.0 of haproxy", 1.0, Path::Relay, &[Path::Haproxy], tcp().collect()),
        at_least("relay on the host, UDP: 4 times nginx", 4.0, Path::Relay, &[Path::Nginx], udp().collect()),
        Target::new("relay on the host, p99: no worse than haproxy's", slowest.into_iter().max_by(by_ratio), |ratio| {
            ratio <= 1.0
        }),
        at_least("published, TCP: 1.5 times nginx and haproxy", 1.5, Path::Published, &published, tcp().collect()),
        at_least("published, UDP: 1.5 times nginx", 1.5, Path::Published, &published, udp().collect()),
        Target::missing("forward: 1.5 times kubectl, 5 times for new connections", "not in this version"),
    ];
    targets.extend(memory.map(footprint).into_iter().flatten());
    targets.push(Target::missing("`open` of one more port: 50 ms in host placement", "not in this version"));
    targets
}

fn footprint(memory: &Memory) -> Vec<Target> {
    let at_most = |promise, value: f64, limit: f64, note: String| Target {
        promise,
        measured: format!("{value:.1} MiB{note}"),
        verdict: if value <= limit { Verdict::Met } else { Verdict::Missed },
    };
    let idle = memory.published.map_or(memory.idle, |published| published.max(memory.idle));
    let disk = memory.image.map_or(memory.executable, |image| image.max(memory.executable));
    let connections = format!(" with {}", memory.connections);
    let threads = format!(", {} threads", memory.ports_threads);
    vec![
        at_most("a gate on disk: 20 MiB", disk, 20.0, String::new()),
        at_most("a gate when idle: 8 MiB", idle, 8.0, String::new()),
        at_most("a gate with 10,000 idle connections: 64 MiB", memory.with_connections, 64.0, connections),
        at_most("1,000 mapped ports: 5 MiB and no process", memory.ports, 5.0, threads),
    ]
}

/// A ratio, and of what to whom.
type Ratio = (f64, Measurement, Path);

fn ratios(
    results: &Results,
    ours: Path,
    peers: &[Path],
    measurements: Vec<Measurement>,
    quantity: Quantity,
) -> Vec<Ratio> {
    let pairs = measurements.into_iter().flat_map(|measurement| peers.iter().map(move |&peer| (measurement, peer)));
    pairs
        .filter_map(|(measurement, peer)| Some((results.ratio(ours, peer, measurement, quantity)?, measurement, peer)))
        .collect()
}

fn by_ratio(a: &Ratio, b: &Ratio) -> std::cmp::Ordering {
    a.0.total_cmp(&b.0)
}

impl Target {
    fn new(promise: &'static str, worst: Option<Ratio>, is_kept: impl FnOnce(f64) -> bool) -> Self {
        let Some((ratio, measurement, peer)) = worst else { return Self::missing(promise, "") };
        let verdict = if is_kept(ratio) { Verdict::Met } else { Verdict::Missed };
        Self { promise, measured: format!("{ratio:.2} ({measurement}, {})", peer.word()), verdict }
    }

    fn missing(promise: &'static str, why: &str) -> Self {
        Self { promise, measured: why.to_owned(), verdict: Verdict::NotMeasured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Reading;

    fn results(values: &[(Path, Measurement, f64)]) -> Results {
        let mut results = Results::default();
        for &(path, measurement, rate) in values {
            results.add(path, measurement, Reading::from([(Quantity::Rate, rate)]));
        }
        results
    }

    #[test]
    fn the_worst_value_decides() {
        let (up, down) = (Measurement::Tcp(1, Direction::Up), Measurement::Tcp(8, Direction::Down));
        let results = results(&[
            (Path::Relay, up, 9.0),
            (Path::Haproxy, up, 8.0),
            (Path::Relay, down, 9.5),
            (Path::Haproxy, down, 10.0),
        ]);
        let targets = judge(&results, None);
        assert_eq!(targets[1].measured, "0.95 (tcp-8-down, haproxy)");
        assert_eq!(targets[1].verdict, Verdict::Missed);
        assert_eq!(targets[2].verdict, Verdict::NotMeasured);
    }

    #[test]
    fn memory_is_judged_by_the_larger_gate() {
        let memory = Memory { idle: 4.0, published: Some(8.5), with_connections: 60.0, ..Memory::default() };
        let verdicts: Vec<Verdict> = footprint(&memory).iter().map(|target| target.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed, Verdict::Met, Verdict::Met]);
    }
}
