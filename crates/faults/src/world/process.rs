//! The processes of gates, as the host sees them.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::docker::docker;

/// How long a process may take until it is there, or gone.
const LIMIT: Duration = Duration::from_secs(10);

/// Looks again and again until there is what is looked for, or the time is up.
pub(crate) async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        let found = look().await;
        if found.is_some() || start.elapsed() > limit {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A container's first process.
pub(crate) async fn of_container(container: &str) -> anyhow::Result<Pid> {
    let pid = docker(&["inspect", "--format", "{{.State.Pid}}", container]).await?;
    let pid = Pid::from_raw(pid.parse().with_context(|| format!("{container} has no process"))?);
    pid.with_context(|| format!("{container} does not run"))
}

/// The one child of a process.
pub(crate) async fn child_of(parent: Pid) -> anyhow::Result<Pid> {
    let child = async || {
        let tasks = fs::read_dir(format!("/proc/{}/task", parent.as_raw_nonzero())).ok()?.flatten();
        let lists: Vec<String> =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
        let children = lists.iter().flat_map(|list| list.split_whitespace());
        let children: Vec<Pid> = children.filter_map(|id| Pid::from_raw(id.parse().ok()?)).collect();
        <[Pid; 1]>::try_from(children).ok()
    };
    let [child] = within(LIMIT, child).await.with_context(|| format!("process {parent:?} has not one child"))?;
    Ok(child)
}

/// The processes that have this text in their arguments, other than this one.
pub(crate) fn with_argument(text: &str) -> Vec<Pid> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = all.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    let has = |pid: &Pid| {
        let arguments = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(text) && *pid != rustix::process::getpid()
    };
    pids.filter(has).collect()
}

/// The one process that has this text in its arguments.
pub(crate) fn the_one_with(text: &str) -> anyhow::Result<Pid> {
    match with_argument(text)[..] {
        [process] => Ok(process),
        ref processes => bail!("there are {} processes of {text}, not one", processes.len()),
    }
}

/// Ends a process as a crash does, and waits until it is no more.
pub(crate) async fn kill(process: Pid) -> anyhow::Result<()> {
    kill_process(process, Signal::KILL).with_context(|| format!("cannot kill process {process:?}"))?;
    let ended = within(LIMIT, async || has_ended(process).then_some(())).await;
    ensure!(ended.is_some(), "process {process:?} does not end");
    Ok(())
}

/// How many descriptors a process may be allowed at most; none if there is no limit.
pub(crate) fn hard_limit(process: Pid) -> anyhow::Result<Option<u64>> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.as_raw_nonzero()));
    let limits = limits.context("cannot read the limits of a process")?;
    // `Max open files   SOFT   HARD   files`
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|line| line.split_whitespace().nth(1)).context("a process has no limit of descriptors")?;
    Ok(hard.parse().ok())
}

fn has_ended(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok();
    // The state follows the name, which may contain anything.
    stat.and_then(|stat| Some(stat.rsplit_once(") ")?.1.starts_with('Z'))).unwrap_or(true)
}
