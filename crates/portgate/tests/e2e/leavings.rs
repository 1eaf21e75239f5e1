//! What a gate in the host's network leaves behind: nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::client::{tcp_echoes, udp_echoes};
use crate::own_host::{difference, host_state, on_own_host};
use crate::processes::GateProcesses;
use crate::support::{
    BOTH, Cluster, ECHO, eventually, free_port, host_cluster, host_cluster_on, lines, local, skipped, within,
};

/// How long a cluster's end may take to show.
const PATIENCE: Duration = Duration::from_secs(20);

/// Opens a port, and uses it in every way.
async fn opened(cluster: &Cluster) -> u16 {
    let port = free_port();
    cluster.run(&format!("open {port}:{BOTH}/tcp+udp 127.0.0.2:{port}:{ECHO}")).await.ok();
    for address in [local(port), (std::net::Ipv6Addr::LOCALHOST, port).into()] {
        tcp_echoes(address).await;
        udp_echoes(address).await;
    }
    assert_eq!(cluster.mapping_of(port, "udp").await["datapath"], "kernel");
    port
}

/// The names of all containers and volumes of the engine.
async fn contents(cluster: &Cluster) -> Vec<String> {
    let containers = cluster.docker(&["ps", "--all", "--format", "{{.Names}}"]).await;
    let mut contents = lines(&(containers + &cluster.docker(&["volume", "ls", "--format", "{{.Name}}"]).await));
    contents.sort();
    contents
}

/// Waits until the host is as it was.
#[track_caller]
fn is_again(before: &[String]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let same = async || difference(before, &host_state()).is_empty().then_some(());
        let outcome = within(PATIENCE, same).await;
        assert!(outcome.is_some(), "{caller}: {:#?}", difference(before, &host_state()));
    }
}

#[test]
fn down_leaves_the_host_as_it_was() {
    on_own_host("leavings::down_leaves_the_host_as_it_was", async |engine| {
        let Some(cluster) = host_cluster_on(Some(engine.host())).await else { return };
        let before = (settled().await, contents(&cluster).await);
        opened(&cluster).await;
        let during = difference(&before.0, &host_state());
        assert!(during.iter().any(|line| line.contains("nft")), "{during:#?}");
        assert!(during.iter().any(|line| line.contains("route_localnet")), "{during:#?}");
        assert!(during.iter().any(|line| line.contains("/run/portgate")), "{during:#?}");
        cluster.run("down").await.ok();
        is_again(&before.0).await;
        assert_eq!(contents(&cluster).await, before.1);

        opened(&cluster).await;
        cluster.run("close --all").await.ok();
        is_again(&before.0).await;
        assert_eq!(contents(&cluster).await, before.1);

        opened(&cluster).await;
        cluster.run("stop").await.ok();
        let stopped = difference(&before.0, &host_state());
        assert!(!stopped.iter().any(|line| line.contains("nft")), "{stopped:#?}");
        cluster.run("down").await.ok();
        is_again(&before.0).await;
    });
}

#[test]
fn what_a_killed_gate_leaves_is_swept() {
    on_own_host("leavings::what_a_killed_gate_leaves_is_swept", async |engine| {
        let Some(cluster) = host_cluster_on(Some(engine.host())).await else { return };
        let before = (settled().await, contents(&cluster).await);
        opened(&cluster).await;
        // Docker would start it again.
        cluster.docker(&["update", "--restart", "no", &cluster.gate()]).await;
        let supervisor = GateProcesses::of(&cluster).await.supervisor.0;
        kill_process(Pid::from_raw(i32::try_from(supervisor).unwrap()).unwrap(), Signal::KILL).unwrap();
        let killed = Instant::now();
        let has_table = || host_state().iter().any(|line| line.contains("table ip portgate-k3d"));
        eventually(async || (!has_table()).then_some(())).await;
        println!("the table was gone {:?} after the supervisor was killed", killed.elapsed());
        cluster.docker(&["rm", "--force", &cluster.gate()]).await;
        cluster.run("down").await.ok();
        is_again(&before.0).await;
        assert_eq!(contents(&cluster).await, before.1);

        // The same, unless a gate is opened before.
        opened(&cluster).await;
        cluster.docker(&["rm", "--force", &cluster.gate()]).await;
        opened(&cluster).await;
        cluster.run("down").await.ok();
        is_again(&before.0).await;
        assert_eq!(contents(&cluster).await, before.1);
    });
}

#[test]
fn a_deleted_clusters_gate_goes_with_it() {
    on_own_host("leavings::a_deleted_clusters_gate_goes_with_it", async |engine| {
        let Some(cluster) = host_cluster_on(Some(engine.host())).await else { return };
        opened(&cluster).await;
        cluster.docker(&["rm", "--force", &cluster.node("server-0")]).await;
        cluster.docker(&["network", "rm", &cluster.network()]).await;
        let deleted = Instant::now();
        let has_gone = async || contents(&cluster).await.iter().all(|name| !name.contains("portgate")).then_some(());
        let outcome = within(PATIENCE, has_gone).await;
        println!("the gate was gone {:?} after its cluster", deleted.elapsed());
        assert!(outcome.is_some(), "{:?}", contents(&cluster).await);
        let left: Vec<String> = host_state().into_iter().filter(|line| line.contains("portgate")).collect();
        assert_eq!(left, [""; 0]);
        cluster.run("down").await;
        has_no_trace(&cluster).await;
    });
}

#[test]
fn nothing_is_left_of_a_gate_that_was_deleted_with_its_cluster() {
    on_own_host("leavings::nothing_is_left_of_a_gate_that_was_deleted_with_its_cluster", async |engine| {
        let Some(cluster) = host_cluster_on(Some(engine.host())).await else { return };
        opened(&cluster).await;
        // As `k3d cluster delete` does it.
        let label = format!("label=k3d.cluster={}", cluster.name);
        let all = lines(&cluster.docker(&["ps", "--all", "--quiet", "--filter", &label]).await);
        assert_eq!(all.len(), 2);
        for container in &all {
            cluster.docker(&["rm", "--force", container]).await;
        }
        cluster.docker(&["network", "rm", &cluster.network()]).await;
        let left: Vec<String> =
            host_state().into_iter().filter(|line| line.contains("table ip portgate-k3d")).collect();
        assert_eq!(left, [""; 0]);
        cluster.run("down").await.ok();
        has_no_trace(&cluster).await;
    });
}

/// Neither a rule nor a route nor a file nor a container nor a volume is left.
async fn has_no_trace(cluster: &Cluster) {
    // The number by which portgate's rules and routes can be told from those of others.
    let is_trace = |line: &String| line.contains("portgate") || line.contains("proto 112");
    let left: Vec<String> = host_state().into_iter().chain(contents(cluster).await).filter(is_trace).collect();
    assert_eq!(left, [""; 0]);
}

/// The host's state, once the interfaces of new containers have come to rest.
async fn settled() -> Vec<String> {
    let mut last = host_state();
    eventually(async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = host_state();
        (std::mem::replace(&mut last, now.clone()) == now).then_some(now)
    })
    .await
}

/// The lines of the machine's rules that name this cluster.
fn rules_of(cluster: &Cluster) -> Vec<String> {
    let output = Command::new("nft").args(["list", "tables"]).output().unwrap();
    let tables = String::from_utf8(output.stdout).unwrap();
    let name = format!("portgate-k3d-{}", cluster.name);
    tables.lines().filter(|line| line.split(' ').any(|word| word == name)).map(str::to_owned).collect()
}

#[tokio::test]
async fn two_clusters_gates_are_beside_each_other() {
    let Some((cluster, other)) = host_cluster().await.zip(host_cluster().await) else { return };
    let (port, others) = (opened(&cluster).await, opened(&other).await);
    let can_look = rustix::process::geteuid().is_root() && Command::new("nft").arg("--version").output().is_ok();
    if can_look {
        assert_eq!((rules_of(&cluster).len(), rules_of(&other).len()), (1, 1));
    } else {
        skipped("only root can list the kernel's rules, with `nft`");
    }
    assert_eq!((cluster.gates().await, other.gates().await), (vec![cluster.gate()], vec![other.gate()]));
    let mut talk = crate::client::Talk::start(local(others)).await;
    cluster.run("close --all").await.ok();
    assert!(!can_look || rules_of(&cluster).is_empty());
    std::net::TcpListener::bind(local(port)).unwrap();
    talk.goes_on().await;
    tcp_echoes(local(others)).await;
    udp_echoes(local(others)).await;
    assert_eq!(other.mapping_of(others, "udp").await["datapath"], "kernel");
    assert!(!can_look || rules_of(&other).len() == 1);
    cluster.is_untouched().await;
}
