//! The time that the whole machine's processors were busy.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;

/// Which of the columns of `/proc/stat` are idle time: `idle` and `iowait`; see `proc_stat(5)`.
const IDLE: [usize; 2] = [3, 4];

/// How many columns count at all: `guest` and `guest_nice` are part of others.
const COLUMNS: usize = 8;

/// Busy time of all processors since the machine started.
pub(crate) fn busy() -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    let ticks = busy_ticks(&stat).context("/proc/stat is not understood")?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_millis(ticks * 1000 / per_second))
}

fn busy_ticks(stat: &str) -> Option<u64> {
    let columns = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace().take(COLUMNS);
    columns.enumerate().filter(|(column, _)| !IDLE.contains(column)).map(|(_, ticks)| ticks.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_does_not_count() {
        assert_eq!(busy_ticks("cpu  10 20 30 4000 500 6 7 8 90 90\ncpu0 1 1 1 1\n"), Some(81));
        assert_eq!(busy_ticks("intr 1"), None);
    }
}
