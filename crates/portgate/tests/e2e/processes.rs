//! The processes of a gate, as the host sees them.

use std::fs;

use crate::support::Cluster;

/// A gate in the host's network has a supervisor with rights, and a worker that has none; any other is one process.
pub(crate) struct GateProcesses {
    pub(crate) supervisor: Process,
    pub(crate) worker: Option<Process>,
}

/// A process of this machine.
pub(crate) struct Process(pub(crate) u32);

impl GateProcesses {
    pub(crate) async fn of(cluster: &Cluster) -> Self {
        let state = cluster.inspect(&cluster.gate()).await["State"].take();
        let supervisor = Process(u32::try_from(state["Pid"].as_u64().unwrap()).unwrap());
        let children = supervisor.children();
        assert!(children.len() <= 1, "{children:?}");
        Self { supervisor, worker: children.first().copied().map(Process) }
    }

    pub(crate) fn all(&self) -> Vec<&Process> {
        [&self.supervisor].into_iter().chain(&self.worker).collect()
    }
}

impl Process {
    /// A file of its own beneath `/proc`.
    pub(crate) fn file(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    /// A line of its status, without the title.
    pub(crate) fn status(&self, title: &str) -> String {
        let status = self.file("status");
        let line = status.lines().find_map(|line| line.strip_prefix(title)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {title} in {status}")).trim().to_owned()
    }

    /// Its memory that is resident, in KiB.
    pub(crate) fn resident(&self) -> u64 {
        kibibytes(&self.status("VmRSS"))
    }

    /// Its share of the memory that is resident, in KiB: what several processes use is divided among them.
    pub(crate) fn share(&self) -> u64 {
        let rollup = self.file("smaps_rollup");
        kibibytes(rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap())
    }

    fn children(&self) -> Vec<u32> {
        let tasks = fs::read_dir(self.path("task")).unwrap().map(|task| task.unwrap().path().join("children"));
        let lists: Vec<String> = tasks.map(|list| fs::read_to_string(list).unwrap_or_default()).collect();
        lists.iter().flat_map(|list| list.split_whitespace()).map(|id| id.parse().unwrap()).collect()
    }
}

fn kibibytes(text: &str) -> u64 {
    text.trim().trim_end_matches(" kB").parse().unwrap()
}
