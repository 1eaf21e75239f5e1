//! What libFuzzer prints, and the table that it becomes.

use std::fmt;
use std::path::{Path, PathBuf};

/// All that libFuzzer printed in one run.
pub(super) struct Log(pub(super) String);

/// What came of one run.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hunt {
    target: String,
    executions: u64,
    per_second: u64,
    /// How many edges of the code's flow were reached.
    edges: u64,
    /// How many inputs are kept, because each reaches something that no other does.
    inputs: u64,
    /// The input that failed, as a regression.
    pub(super) found: Option<PathBuf>,
    /// How it failed.
    why: Option<String>,
}

impl Log {
    /// The file with the input that failed.
    pub(super) fn found(&self) -> Option<&Path> {
        self.after("Test unit written to ").map(|path| Path::new(path.trim()))
    }

    pub(super) fn hunt(&self, target: &str, found: Option<PathBuf>) -> Hunt {
        let number = |text: Option<&str>| {
            let digits = text.map(|text| text.trim_start().split(|c: char| !c.is_ascii_digit()).next());
            digits.flatten().and_then(|digits| digits.parse().ok()).unwrap_or_default()
        };
        Hunt {
            target: target.to_owned(),
            executions: number(self.after("stat::number_of_executed_units:")),
            per_second: number(self.after("stat::average_exec_per_sec:")),
            edges: number(self.after(" cov: ")),
            inputs: number(self.after(" corp: ")),
            found,
            why: self.why(),
        }
    }

    /// Place and message of the panic; else what libFuzzer objects to: an input that takes too long, or too much memory.
    fn why(&self) -> Option<String> {
        let panic =
            self.0.rsplit_once("panicked at ").map(|(_, rest)| rest.lines().take(2).collect::<Vec<_>>().join(" "));
        panic.or_else(|| self.after("ERROR: libFuzzer: ").map(str::to_owned))
    }

    /// What comes after the last of these marks, to the end of the line.
    fn after(&self, mark: &str) -> Option<&str> {
        let (_, rest) = self.0.rsplit_once(mark)?;
        rest.lines().next()
    }
}

impl fmt::Display for Hunt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, executions, per_second, edges, inputs, found, why } = self;
        write!(f, "{target:<14} {executions:>12} {per_second:>12} {edges:>8} {inputs:>8}")?;
        found.iter().try_for_each(|file| write!(f, "\n  found {}", file.display()))?;
        why.iter().try_for_each(|why| write!(f, "\n  {why}"))
    }
}

/// All runs, a line each.
pub(super) fn table(hunts: &[Hunt]) -> String {
    let heading = format!("{:<14} {:>12} {:>12} {:>8} {:>8}", "TARGET", "EXECUTIONS", "PER SECOND", "EDGES", "INPUTS");
    let total = hunts.iter().map(|hunt| hunt.executions).sum::<u64>();
    let rows = hunts.iter().map(Hunt::to_string);
    [heading].into_iter().chain(rows).chain([format!("{:<14} {total:>12}", "all")]).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
thread '<unnamed>' (1) panicked at fuzz/src/spec.rs:5:83:
attempt to add with overflow
stack backtrace:
INFO: seed corpus: files: 11 min: 5b max: 26b total: 195b rss: 41Mb
#12\tINITED cov: 180 ft: 199 corp: 9/150b exec/s: 0 rss: 42Mb
#4096\tpulse  cov: 212 ft: 400 corp: 57/902b lim: 43 exec/s: 2048 rss: 44Mb
artifact_prefix='target/fuzz/found/spec-'; Test unit written to target/fuzz/found/spec-crash-9a8c
stat::number_of_executed_units: 5962670
stat::average_exec_per_sec:     662518
";

    #[test]
    fn the_last_figures_count() {
        let log = Log(LOG.to_owned());
        assert_eq!(log.found(), Some(Path::new("target/fuzz/found/spec-crash-9a8c")));
        let hunt = log.hunt("spec", None);
        let figures = (hunt.executions, hunt.per_second, hunt.edges, hunt.inputs);
        assert_eq!(figures, (5_962_670, 662_518, 212, 57));
        assert_eq!(hunt.why.as_deref(), Some("fuzz/src/spec.rs:5:83: attempt to add with overflow"));
    }

    #[test]
    fn a_log_without_figures_is_a_row_of_zeros() {
        let log = Log(String::new());
        assert_eq!(log.found(), None);
        assert!(table(&[log.hunt("spec", None)]).ends_with("0        0        0\nall                       0"));
    }
}
