//! What is left of gates once they are gone, and of a run at its end: nothing.

use std::fs;
use std::path::Path;

use super::World;
use super::docker::{docker, named, run};
use super::process::with_argument;
use crate::fault::Subject;

/// What gates have left that `portgate down` should have removed. The clusters are there still.
pub(crate) async fn of_gates(world: &World) -> Vec<String> {
    let mut left = Vec::new();
    for cluster in world.clusters() {
        let gate = cluster.gate();
        left.extend(list("container", &["ps", "--all", "--format", "{{.Names}}"], &gate).await);
        left.extend(list("volume", &["volume", "ls", "--format", "{{.Name}}"], &gate).await);
        left.extend(of_network(&cluster.name).await);
        if cluster.subject == Subject::Host {
            left.extend(cluster.directory().exists().then(|| format!("directory {}", cluster.directory().display())));
            if let Ok(Some(bridge)) = cluster.engine.bridge(&cluster.network()).await {
                left.extend(of_bridge(&bridge).await);
            }
        }
    }
    let home = world.forward.home();
    for directory in ["run/portgate", "state/portgate"].map(|name| home.join(name)) {
        left.extend(directory.exists().then(|| format!("directory {}", directory.display())));
    }
    left.extend(processes(&home.display().to_string()));
    left
}

/// What a run has left.
pub(crate) async fn of_run(name: &str, directory: &Path) -> Vec<String> {
    let mut left = list("container", &["ps", "--all", "--format", "{{.Names}}"], name).await;
    left.extend(list("volume", &["volume", "ls", "--format", "{{.Name}}"], name).await);
    left.extend(list("network", &["network", "ls", "--format", "{{.Name}}"], name).await);
    left.extend(list("image", &["image", "ls", "--format", "{{.Repository}}"], name).await);
    left.extend(of_network(name).await);
    left.extend(processes(name));
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let directory = directory.display().to_string();
    left.extend(mounts.lines().filter(|line| line.contains(&directory)).map(|line| format!("mount {line}")));
    left
}

/// The tables of nftables with this name in theirs.
pub(crate) async fn tables(name: &str) -> anyhow::Result<Vec<String>> {
    let listed = run("nft", &["list", "tables"]).await?;
    let tables = listed.lines().filter_map(|line| line.strip_prefix("table "));
    Ok(tables.filter(|table| table.contains(name)).map(str::to_owned).collect())
}

async fn of_network(name: &str) -> Vec<String> {
    match tables(name).await {
        Ok(tables) => tables.into_iter().map(|table| format!("nftables table {table}")).collect(),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// Settings of a bridge, tables with its name, and routes by it that are in tables of others than the system's.
async fn of_bridge(bridge: &str) -> Vec<String> {
    let mut left = of_network(bridge).await;
    let setting = fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{bridge}/route_localnet")).unwrap_or_default();
    left.extend((setting.trim() == "1").then(|| format!("route_localnet of {bridge}")));
    let routes = run("ip", &["route", "show", "table", "all", "dev", bridge]).await.unwrap_or_default();
    let is_own = |line: &&str| line.contains("table ") && !line.contains("table local");
    left.extend(routes.lines().filter(is_own).map(|line| format!("route {line}")));
    left
}

fn processes(text: &str) -> Vec<String> {
    let told = |process: rustix::process::Pid| {
        let path = format!("/proc/{}/cmdline", process.as_raw_nonzero());
        let arguments = fs::read(path).unwrap_or_default();
        format!("process {}: {}", process.as_raw_nonzero(), String::from_utf8_lossy(&arguments).replace('\0', " "))
    };
    with_argument(text).into_iter().map(told).collect()
}

async fn list(what: &str, words: &[&str], name: &str) -> Vec<String> {
    match named(words, name).await {
        Ok(found) => found.into_iter().map(|found| format!("{what} {found}")).collect(),
        Err(error) => vec![format!("{error:#}")],
    }
}

/// Whether a container is there.
pub(crate) async fn has_container(name: &str) -> bool {
    docker(&["inspect", "--type", "container", "--format", "{{.Id}}", name]).await.is_ok()
}
