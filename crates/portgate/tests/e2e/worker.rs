//! The process that touches traffic has no right at all.

use std::fs::{self, File};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::client::{Talk, tcp_echoes, udp_echoes};
use crate::processes::{GateProcesses, Process};
use crate::support::{BOTH, Cluster, ECHO, eventually, free_port, host_cluster, local, skipped};

/// A cluster with a gate that has carried something by the kernel and by its worker, and that gate's processes.
async fn busy() -> Option<(Cluster, GateProcesses, u16)> {
    let cluster = host_cluster().await?;
    if !geteuid().is_root() {
        skipped("only root can look at other users' processes");
        return None;
    }
    let port = free_port();
    cluster.run(&format!("open {port}:{BOTH}/tcp+udp")).await.ok();
    for address in [local(port), (std::net::Ipv6Addr::LOCALHOST, port).into()] {
        tcp_echoes(address).await;
        udp_echoes(address).await;
    }
    let processes = GateProcesses::of(&cluster).await;
    Some((cluster, processes, port))
}

#[tokio::test]
async fn a_worker_is_nobody_and_may_do_nothing() {
    let Some((_cluster, processes, _)) = busy().await else { return };
    let worker = processes.worker.unwrap();
    assert_eq!(worker.status("Uid"), "65534\t65534\t65534\t65534");
    let groups: Vec<String> = worker.status("Gid").split_whitespace().map(str::to_owned).collect();
    assert!(groups.iter().all(|group| *group == groups[0] && group != "0"), "{groups:?}");
    assert_eq!(worker.status("Groups"), "");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&worker.status(set), 16), Ok(0), "{set}");
    }
    assert_eq!(worker.status("NoNewPrivs"), "1");
    assert_eq!(worker.status("PPid"), processes.supervisor.0.to_string());
}

#[tokio::test]
async fn a_worker_has_no_file_open() {
    let Some((_cluster, processes, _)) = busy().await else { return };
    let worker = processes.worker.unwrap();
    let links = fs::read_dir(worker.path("fd")).unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let open: Vec<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let harmless = |name: &String| ["socket:[", "pipe:[", "anon_inode:"].iter().any(|kind| name.starts_with(kind));
    let files: Vec<_> = open.iter().filter(|name| !harmless(name) && *name != "/dev/null").collect();
    assert!(files.is_empty() && !open.is_empty(), "{open:?}");
}

/// Runs a script as this process's user and group, without a capability, where the process's files are.
fn run_like(process: &Process, script: &str) -> (bool, String) {
    let id = |title| process.status(title).split_whitespace().next().unwrap().to_owned();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &id("Uid"), "--regid", &id("Gid"), "--clear-groups", "--no-new-privs"]);
    command.args(["--inh-caps=-all", "--bounding-set=-all", "sh", "-c", script]);
    // Whoever has the directory open need not have the right to follow the link to it.
    command.stdin(Stdio::from(File::open(process.path("root")).unwrap()));
    let output = command.output().unwrap();
    assert!(output.status.code().is_some(), "{output:?}");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}

/// All directories and files that a process can reach, as it calls them; not what the kernel shows of itself.
fn reachable(process: &Process) -> Vec<(PathBuf, fs::FileType)> {
    let root = PathBuf::from(process.path("root"));
    let mut found = vec![(PathBuf::new(), fs::metadata(root.join("")).unwrap().file_type())];
    let mut next = 0;
    while let Some((path, kind)) = found.get(next).cloned() {
        next += 1;
        if !kind.is_dir() || ["proc", "sys"].iter().any(|kernel| path == Path::new(kernel)) {
            continue;
        }
        for entry in fs::read_dir(root.join(&path)).into_iter().flatten().flatten() {
            let path = path.join(entry.file_name());
            // What is mounted on it counts, which the entry itself does not tell; another gate may go meanwhile.
            if let Ok(metadata) = fs::symlink_metadata(root.join(&path)) {
                found.push((path, metadata.file_type()));
            }
        }
    }
    found
}

#[tokio::test]
async fn a_worker_can_write_nowhere() {
    let Some((_cluster, processes, _)) = busy().await else { return };
    let worker = processes.worker.unwrap();
    let reachable = reachable(&worker);
    let mounts = worker.file("mountinfo");
    for mount in mounts.lines().filter_map(|line| line.split(' ').nth(4)) {
        let known = |(path, _): &(PathBuf, _)| path == mount.trim_start_matches('/');
        let kernels = ["/proc", "/sys"].iter().any(|kernel| mount.starts_with(kernel));
        assert!(kernels || reachable.iter().any(known), "{mount} was not looked at");
    }
    let (can_look, said) = run_like(&worker, "ls /proc/self/fd/0/");
    assert!(can_look && said.contains("portgate"), "the test sees nothing: {said}");

    let mut holes = Vec::new();
    for (path, kind) in &reachable {
        let here = format!("/proc/self/fd/0/{}", path.display());
        let attempt = if kind.is_dir() {
            format!("touch '{here}/.portgate-test' && rm '{here}/.portgate-test'")
        } else if kind.is_file() {
            format!("test -w '{here}'")
        } else {
            continue;
        };
        if run_like(&worker, &attempt).0 {
            holes.push(path);
        }
    }
    assert!(holes.is_empty(), "{holes:?} of {}", reachable.len());
    println!("nothing can be written in {} places", reachable.len());
}

#[tokio::test]
async fn a_worker_cannot_use_the_engine_or_the_gates_control() {
    let Some((_cluster, processes, _)) = busy().await else { return };
    let worker = processes.worker.unwrap();
    let reachable = reachable(&worker);
    let sockets: Vec<_> = reachable.iter().filter(|(_, kind)| kind.is_socket()).map(|(path, _)| path).collect();
    assert!(sockets.iter().any(|path| path.ends_with("docker.sock")), "{sockets:?}");
    assert!(sockets.iter().any(|path| path.ends_with("control.sock")), "{sockets:?}");
    for socket in sockets {
        let (can, _) = run_like(&worker, &format!("test -w '/proc/self/fd/0/{}'", socket.display()));
        assert!(!can, "{}", socket.display());
    }
}

#[tokio::test]
async fn the_control_socket_is_for_those_who_may_use_the_engine() {
    use std::os::unix::fs::MetadataExt;
    let Some(cluster) = host_cluster().await else { return };
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    let engine = cluster.engine.socket_path().unwrap();
    let control = portgate_gate::paths::host_socket(&cluster.id());
    let rights = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    };
    assert_eq!(rights(&control), rights(engine));
}

#[tokio::test]
async fn a_worker_that_dies_is_replaced_and_the_kernels_connections_go_on() {
    let Some((cluster, processes, port)) = busy().await else { return };
    let mut by_kernel = Talk::start(local(port)).await;
    let by_worker = Talk::start((std::net::Ipv6Addr::LOCALHOST, port).into()).await;
    let worker = processes.worker.unwrap().0;
    kill_process(Pid::from_raw(i32::try_from(worker).unwrap()).unwrap(), Signal::KILL).unwrap();
    by_worker.ends().await;
    let another = async || GateProcesses::of(&cluster).await.worker.filter(|process| process.0 != worker);
    eventually(another).await;
    by_kernel.goes_on().await;
    tcp_echoes((std::net::Ipv6Addr::LOCALHOST, port).into()).await;
    udp_echoes((std::net::Ipv6Addr::LOCALHOST, port).into()).await;
    tcp_echoes(local(port)).await;
    assert_eq!(GateProcesses::of(&cluster).await.supervisor.0, processes.supervisor.0);
}
