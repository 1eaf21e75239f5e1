//! Processes: those on the host that go when they are dropped, their children with them, and what any of them occupies.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;

/// A process and its children.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What some processes occupy together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Footprint {
    /// Resident memory, in MiB: what several processes share counts for each of them.
    pub(crate) resident: f64,
    /// The same, in which each has its part of what is shared (PSS). None if this user may not know.
    pub(crate) proportional: Option<f64>,
    /// Threads.
    pub(crate) threads: u32,
    /// Processes.
    pub(crate) processes: u32,
}

impl Footprint {
    /// What would be free without them, in MiB, as exactly as is known.
    pub(crate) fn occupied(&self) -> f64 {
        self.proportional.unwrap_or(self.resident)
    }

    fn and(self, other: Self) -> Self {
        Self {
            resident: self.resident + other.resident,
            proportional: self.proportional.zip(other.proportional).map(|(one, other)| one + other),
            threads: self.threads + other.threads,
            processes: self.processes + other.processes,
        }
    }
}

impl Process {
    /// Starts it in a group of its own. What it prints is dropped.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended has nothing to be ended.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
}

/// A process of this number, and all that descend from it.
pub(crate) fn family(id: u32) -> anyhow::Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("cannot list the processes")?.flatten();
    let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // One that has ended meanwhile is nobody's child.
    let parent = |id| field(&fs::read_to_string(format!("/proc/{id}/status")).ok()?, "PPid");
    let parents: Vec<(u32, u32)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    Ok(descendants(id, &parents))
}

fn descendants(id: u32, parents: &[(u32, u32)]) -> Vec<u32> {
    let mut family = vec![id];
    let mut at = 0;
    while let Some(&id) = family.get(at) {
        family.extend(parents.iter().filter(|(_, parent)| *parent == id).map(|(child, _)| child));
        at += 1;
    }
    family
}

/// What these processes occupy now.
pub(crate) fn footprint(processes: &[u32]) -> anyhow::Result<Footprint> {
    let start = Footprint { proportional: Some(0.0), ..Footprint::default() };
    processes.iter().try_fold(start, |sum, id| Ok(sum.and(footprint_of(*id)?)))
}

fn footprint_of(id: u32) -> anyhow::Result<Footprint> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("cannot read a process's status")?;
    let shares = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    parse(&status, &shares).context("a process's status is not understood")
}

fn parse(status: &str, shares: &str) -> Option<Footprint> {
    let mebibytes = |kibibytes| f64::from(kibibytes) / 1024.0;
    Some(Footprint {
        resident: mebibytes(field(status, "VmRSS")?),
        proportional: field(shares, "Pss").map(mebibytes),
        threads: field(status, "Threads")?,
        processes: 1,
    })
}

/// How many descriptors each of these processes may have at least.
pub(crate) fn descriptors(processes: &[u32]) -> anyhow::Result<usize> {
    let limits = processes.iter().map(|id| {
        let limits = fs::read_to_string(format!("/proc/{id}/limits")).context("cannot read a process's limits")?;
        soft_limit(&limits).context("a process's limits are not understood")
    });
    let limits = limits.collect::<anyhow::Result<Vec<_>>>()?;
    limits.into_iter().min().context("there is no process")
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn field(text: &str, name: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How often something is looked at that is to become true.
const LOOK: Duration = Duration::from_millis(10);

/// Waits until `is_so`.
pub(crate) async fn wait_until(
    what: &str,
    limit: Duration,
    mut is_so: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let wait = async {
        while !is_so().await? {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    tokio::time::timeout(limit, wait).await.with_context(|| format!("{what}: not within {} s", limit.as_secs()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tportgate\nPPid:\t7\nVmHWM:\t    9000 kB\nVmRSS:\t    5120 kB\nThreads:\t3\n";

    #[test]
    fn memory_is_given_in_mebibytes() {
        let footprint = Footprint { resident: 5.0, proportional: Some(2.0), threads: 3, processes: 1 };
        assert_eq!(
            parse(STATUS, "0-1 ---p [rollup]\nRss:  5120 kB\nPss:    2048 kB\nPss_Anon: 1 kB\n"),
            Some(footprint)
        );
        assert_eq!(parse("Name:\tzombie\n", ""), None);
    }

    #[test]
    fn the_share_is_unknown_if_that_of_one_process_is() {
        let footprint = parse(STATUS, "Pss: 1024 kB").unwrap().and(parse(STATUS, "").unwrap());
        assert_eq!(footprint, Footprint { resident: 10.0, proportional: None, threads: 6, processes: 2 });
        assert!((footprint.occupied() - 10.0).abs() < f64::EPSILON);
    }

    #[test]
    fn children_and_their_children_belong_to_the_family() {
        assert_eq!(descendants(5, &[(6, 5), (9, 8), (7, 6), (5, 1), (8, 1)]), [5, 6, 7]);
    }

    #[test]
    fn the_soft_limit_is_the_first() {
        let limits = "Limit    Soft Limit  Hard Limit  Units\nMax open files   1024    20000   files\n";
        assert_eq!(soft_limit(limits), Some(1024));
    }
}
