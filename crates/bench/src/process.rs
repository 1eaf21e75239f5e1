//! Processes on the host that go when they are dropped, their children with them.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process_group};

/// A process and its children.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

/// What a process occupies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Footprint {
    /// Resident memory, in MiB.
    pub(crate) resident: f64,
    /// Its threads.
    pub(crate) threads: u32,
}

impl Process {
    /// Starts it in a group of its own. What it prints is dropped.
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it occupies now.
    pub(crate) fn footprint(&self) -> anyhow::Result<Footprint> {
        footprint(self.id())
    }
}

/// What a process of this number occupies now.
pub(crate) fn footprint(id: u32) -> anyhow::Result<Footprint> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("cannot read a process's status")?;
    parse(&status).context("a process's status is not understood")
}

impl Drop for Process {
    fn drop(&mut self) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // One that has ended has nothing to be ended.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
        let _ = self.child.wait();
    }
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

fn parse(status: &str) -> Option<Footprint> {
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u32>().ok()
    };
    Some(Footprint { resident: f64::from(field("VmRSS")?) / 1024.0, threads: field("Threads")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_in_mebibytes() {
        let status = "Name:\tportgate\nVmHWM:\t    9000 kB\nVmRSS:\t    5120 kB\nThreads:\t3\n";
        assert_eq!(parse(status), Some(Footprint { resident: 5.0, threads: 3 }));
        assert_eq!(parse("Name:\tzombie\n"), None);
    }
}
