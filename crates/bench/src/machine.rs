//! The machine, as the report describes it.

use std::fs;

use serde::Serialize;

use crate::docker::docker;

/// What a result depends on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Machine {
    /// The processor.
    pub(crate) processor: String,
    /// How many cores of it.
    pub(crate) cores: usize,
    /// Memory, in GiB.
    pub(crate) memory: f64,
    /// The kernel.
    pub(crate) kernel: String,
    /// How TCP finds its speed: `bbr` paces, at the cost of timers, where `cubic` does not.
    pub(crate) congestion: String,
    /// The Docker engine's version.
    pub(crate) engine: String,
    /// Containers of others that ran meanwhile.
    pub(crate) containers: usize,
}

impl Machine {
    /// Looks at this machine.
    pub(crate) async fn observe(engine: &str) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let containers = docker(&["ps", "--quiet"], b"").await.unwrap_or_default();
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown processor").to_owned(),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory: field(&read("/proc/meminfo"), "MemTotal").and_then(first_number).unwrap_or_default()
                / f64::from(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            congestion: read("/proc/sys/net/ipv4/tcp_congestion_control").trim().to_owned(),
            engine: engine.to_owned(),
            containers: containers.lines().count(),
        }
    }
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name() {
        assert_eq!(field("vendor\t: A\nmodel name\t: AMD EPYC\n", "model name"), Some("AMD EPYC"));
        assert_eq!(field("MemTotal:       1024 kB\n", "MemTotal").and_then(first_number), Some(1024.0));
        assert_eq!(field("", "MemTotal"), None);
    }
}
