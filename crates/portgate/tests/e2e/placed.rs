//! A gate where a test wants it, its state from its own socket, and its processes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use portgate_core::control::{Detail, Request, Response};
use portgate_core::status::{Datapath, GateStatus, Placement};
use portgate_gate::client::Session;
use portgate_gate::paths::host_socket;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::support::{Cluster, LONG, Ran, cluster, eventually, finish, skipped};

/// A cluster of one node, on an engine for such gates; none, visibly, where there is no such engine.
pub(crate) async fn cluster_for(placement: Placement) -> Option<Cluster> {
    let cluster = cluster().await?;
    if placement == Placement::Host
        && let Some(why) = cluster.engine.info().await.unwrap().why_not_host()
    {
        skipped(&format!("no gate in the host's network here ({why:?})"));
        return None;
    }
    Some(cluster)
}

/// As [`cluster_for`] host placement, for those who end processes of its gate; none, visibly, for others than root.
pub(crate) async fn cluster_with_processes() -> Option<Cluster> {
    if !geteuid().is_root() {
        skipped("only root can end a gate's processes");
        return None;
    }
    cluster_for(Placement::Host).await
}

/// A gate's control socket.
pub(crate) struct Control(Session<UnixStream>);

impl Control {
    pub(crate) async fn status(&mut self) -> GateStatus {
        match self.0.request(&Request::Status { detail: Detail::Whole }).await.unwrap() {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// The nodes and addresses that the first mapping leads to, as `node address`.
    pub(crate) async fn backends(&mut self) -> BTreeSet<String> {
        let status = self.status().await;
        status.mappings[0].backends.iter().map(|backend| format!("{} {}", backend.node, backend.address.ip())).collect()
    }
}

impl Cluster {
    /// Opens ports, separated by blanks, with a gate in this place and its usual datapath.
    pub(crate) async fn open_in(&self, placement: Placement, ports: &str) -> Ran {
        let datapath = if placement == Placement::Host { Datapath::Kernel } else { Datapath::Relay };
        self.run(&format!("open --placement {placement} --datapath {} {ports}", datapath.name())).await.ok()
    }

    /// The control socket of the gate in the host's network.
    pub(crate) async fn control(&self) -> Control {
        Control(Session::connect(&host_socket(&self.id()), LONG).await.unwrap())
    }

    /// The name of the gate's table.
    pub(crate) fn table(&self) -> String {
        format!("portgate-{}-{}", self.id().provider, self.name)
    }

    /// The names of the tables that are this cluster's, in the network of this thread.
    pub(crate) async fn tables(&self) -> Vec<String> {
        let mut list = Command::new("nft");
        list.args(["list", "tables"]);
        let listed = finish(list).await.ok().stdout;
        let names = listed.lines().filter_map(|line| line.split_whitespace().nth(2));
        names.filter(|name| *name == self.table()).map(str::to_owned).collect()
    }

    /// What of the gate is beneath the directory of all gates' sockets.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let socket = host_socket(&self.id());
        let directory = socket.parent().unwrap();
        let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
        std::iter::once(directory.to_owned()).chain(entries.map(|entry| entry.unwrap().path())).collect()
    }

    /// A container's first process.
    pub(crate) async fn process(&self, container: &str) -> Pid {
        let pid = self.inspect(container).await["State"]["Pid"].as_i64().unwrap();
        Pid::from_raw(i32::try_from(pid).unwrap()).expect("the container does not run")
    }

    /// The worker of the gate in the host's network.
    pub(crate) async fn worker(&self) -> Pid {
        let supervisor = self.process(&self.gate()).await;
        eventually(async || <[Pid; 1]>::try_from(children(supervisor)).ok()).await[0]
    }
}

/// Ends a process as a crash does, and waits until it is no more.
pub(crate) async fn kill(process: Pid) {
    kill_process(process, Signal::KILL).unwrap();
    eventually(async || has_ended(process).then_some(())).await;
}

/// Whether a process is no more.
pub(crate) fn has_ended(process: Pid) -> bool {
    stat(process).is_none_or(|stat| stat.starts_with('Z'))
}

fn children(parent: Pid) -> Vec<Pid> {
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let is_child = |child: &Pid| {
        let parents = stat(*child).and_then(|stat| stat.split(' ').nth(1)?.parse().ok());
        parents == Some(parent.as_raw_nonzero().get()) && !has_ended(*child)
    };
    pids.filter_map(Pid::from_raw).filter(is_child).collect()
}

/// The state and all that follows it; the process's name before may contain anything.
fn stat(process: Pid) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    Some(stat.rsplit_once(") ")?.1.to_owned())
}
