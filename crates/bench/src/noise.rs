//! Whether others used the machine during the run.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cpu;

/// How long the benchmark rests in order to find out what others do.
const REST: Duration = Duration::from_secs(1);

/// The part of all processors that others may use on a quiet machine.
const QUIET: f64 = 0.1;

/// What others did while the benchmark rested.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Noise {
    /// How many programs ran or waited to run in the minute before the run.
    pub(crate) load_at_start: f64,
    /// The same at its end, the benchmark's own included.
    pub(crate) load_at_end: f64,
    /// The part of all processors that others used, in the rest in which it was largest.
    pub(crate) others: f64,
}

impl Noise {
    /// Looks before the run.
    pub(crate) async fn begin() -> anyhow::Result<Self> {
        let load = load();
        let mut noise = Self { load_at_start: load, load_at_end: load, others: 0.0 };
        noise.rest().await?;
        Ok(noise)
    }

    /// Rests, and looks.
    pub(crate) async fn rest(&mut self) -> anyhow::Result<()> {
        self.load_at_end = load();
        let (start, busy) = (Instant::now(), cpu::busy()?);
        tokio::time::sleep(REST).await;
        let busy = cpu::busy()?.saturating_sub(busy);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        self.others = self.others.max(busy.as_secs_f64() / start.elapsed().as_secs_f64() / processors as f64);
        Ok(())
    }

    /// Whether the machine was quiet.
    pub(crate) fn is_quiet(&self) -> bool {
        self.others <= QUIET
    }
}

impl fmt::Display for Noise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { load_at_start, load_at_end, others } = self;
        write!(f, "Load {load_at_start:.2} at the start and {load_at_end:.2} at the end. ")?;
        write!(f, "Whenever the benchmark rested, others used at most {:.0} % of the processors: ", others * 100.0)?;
        f.write_str(if self.is_quiet() {
            "the machine was quiet."
        } else {
            "THE MACHINE WAS NOT QUIET, and only the ratios say something."
        })
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_quiet_if_others_left_it_alone() {
        let quiet = Noise { load_at_start: 3.0, load_at_end: 2.0, others: 0.04 };
        assert!(quiet.to_string().ends_with("at most 4 % of the processors: the machine was quiet."));
        assert!(Noise { others: 0.2, ..quiet }.to_string().contains("NOT QUIET"));
    }
}
