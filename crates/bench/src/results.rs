//! What was measured.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::measurement::Measurement;
use crate::path::Path;
use crate::statistics::median;

/// What a measurement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Quantity {
    /// Gbit/s of TCP; of everything else its number a second.
    Rate,
    /// Seconds of the machine's processors for each GB of TCP; milliseconds for each of everything else.
    Cpu,
    /// The part of the datagrams that is lost.
    Loss,
    /// The median of the time to an answer, in milliseconds.
    P50,
    /// The time that 1 % of the answers exceed, in milliseconds.
    P99,
    /// The time that 0.1 % of the answers exceed, in milliseconds.
    P999,
    /// How many connections or questions failed.
    Failures,
}

/// What one measurement said.
pub(crate) type Reading = BTreeMap<Quantity, f64>;

/// Everything that was measured on the paths, of all rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    values: BTreeMap<(Path, Measurement, Quantity), Vec<f64>>,
}

/// The values of one quantity, as JSON has them.
#[derive(Debug, Serialize)]
pub(crate) struct Series<'a> {
    path: Path,
    measurement: Measurement,
    quantity: Quantity,
    median: Option<f64>,
    rounds: &'a [f64],
}

impl Results {
    /// Adds a round's reading.
    pub(crate) fn add(&mut self, path: Path, measurement: Measurement, reading: Reading) {
        for (quantity, value) in reading {
            self.values.entry((path, measurement, quantity)).or_default().push(value);
        }
    }

    /// The median of all rounds.
    pub(crate) fn get(&self, path: Path, measurement: Measurement, quantity: Quantity) -> Option<f64> {
        median(self.values.get(&(path, measurement, quantity))?)
    }

    /// How many times as much one path has as another: the median of the rounds' own ratios, for the machine is not the
    /// same in each round. Where a round lacks a value, of the medians.
    pub(crate) fn ratio(&self, path: Path, other: Path, measurement: Measurement, quantity: Quantity) -> Option<f64> {
        let (ours, theirs) =
            (self.values.get(&(path, measurement, quantity))?, self.values.get(&(other, measurement, quantity))?);
        if ours.len() != theirs.len() {
            return Some(median(ours)? / median(theirs)?);
        }
        let ratios: Vec<f64> = ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect();
        median(&ratios)
    }

    /// The paths that were measured.
    pub(crate) fn paths(&self) -> Vec<Path> {
        let measured = |path: &Path| self.values.keys().any(|(of, _, _)| of == path);
        Path::ALL.into_iter().filter(measured).collect()
    }

    /// Whether a measurement was made on any path.
    pub(crate) fn has(&self, measurement: Measurement) -> bool {
        self.values.keys().any(|(_, made, _)| *made == measurement)
    }

    /// Everything, for JSON.
    pub(crate) fn series(&self) -> Vec<Series<'_>> {
        let series = self.values.iter().map(|(&(path, measurement, quantity), rounds)| Series {
            path,
            measurement,
            quantity,
            median: median(rounds),
            rounds,
        });
        series.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let mut results = Results::default();
        let http = Measurement::Http(32);
        for (relay, haproxy) in [(10.0, 10.0), (3.0, 2.0), (50.0, 10.0)] {
            results.add(Path::Relay, http, Reading::from([(Quantity::Rate, relay)]));
            results.add(Path::Haproxy, http, Reading::from([(Quantity::Rate, haproxy)]));
        }
        assert_eq!(results.get(Path::Relay, http, Quantity::Rate), Some(10.0));
        assert_eq!(results.ratio(Path::Relay, Path::Haproxy, http, Quantity::Rate), Some(1.5));
        assert_eq!(results.ratio(Path::Relay, Path::Straight, http, Quantity::Rate), None);
        assert_eq!(results.paths(), [Path::Relay, Path::Haproxy]);
        assert!(results.has(http) && !results.has(Measurement::Connections));
    }
}
