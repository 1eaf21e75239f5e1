//! How long it takes to open ports on a gate that runs, and what they cost.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use crate::client::tcp_echoes;
use crate::processes::GateProcesses;
use crate::support::{Cluster, ECHO, free_port, free_ports, host_cluster, lines, local, skipped, turn};

/// What one more port may take, as a whole process, and how much longer a busy machine may take.
const ONE_PORT: Duration = Duration::from_millis(50);
const TESTED_PORT: Duration = Duration::from_millis(80);
const SLACK: u32 = 5;

/// How many ports are opened at once, and what that may take.
const PORTS: u16 = 1000;
const MANY_PORTS: Duration = Duration::from_millis(500);

/// What they may cost, in KiB.
const MEMORY: u64 = 5 << 10;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
async fn a_further_port_of_a_running_gate_takes_a_moment() {
    let _turn = turn().await;
    let Some(cluster) = host_cluster().await else { return };
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    for (option, target) in [("--no-wait ", ONE_PORT), ("", TESTED_PORT)] {
        let (mut opening, mut closing) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let port = free_port();
            opening.push(cluster.run(&format!("open {option}{port}:{ECHO}")).await.ok().elapsed);
            tcp_echoes(local(port)).await;
            closing.push(cluster.run(&format!("close {port}")).await.ok().elapsed);
        }
        let (opening, closing) = (median(opening), median(closing));
        println!("open {option}takes {opening:?} (target {target:?}), close {closing:?}");
        assert!(opening < target * SLACK, "{opening:?}");
    }
}

/// The share of memory that each of the gate's processes has, in KiB, and what is resident of both.
async fn memory(cluster: &Cluster) -> (Vec<u64>, u64) {
    let processes = GateProcesses::of(cluster).await;
    let all = processes.all();
    (all.iter().map(|process| process.share()).collect(), all.iter().map(|process| process.resident()).sum())
}

#[tokio::test]
async fn a_thousand_ports_are_opened_at_once_and_cost_little() {
    let _turn = turn().await;
    if !rustix::process::geteuid().is_root() {
        return skipped("only root can see the memory of other users' processes");
    }
    let Some(cluster) = host_cluster().await else { return };
    let (one, first) = (free_port(), free_ports(PORTS));
    let last = first + PORTS - 1;
    cluster.run(&format!("open {one}:{ECHO}")).await.ok();
    let before = memory(&cluster).await;

    let opened = cluster.run(&format!("open --no-wait {first}-{last}:30000-{}", 30000 + PORTS - 1)).await.ok();
    println!("{PORTS} ports in {:?} (target {MANY_PORTS:?})", opened.elapsed);
    let after = memory(&cluster).await;
    let added = after.0.iter().sum::<u64>().saturating_sub(before.0.iter().sum());
    println!(
        "supervisor and worker: {:?} -> {:?} KiB, {added} more (target {MEMORY}); resident {} -> {} KiB",
        before.0, after.0, before.1, after.1
    );
    let free: Vec<u16> = (first..=last)
        .filter(|port| {
            TcpListener::bind(local(*port)).is_ok() || TcpListener::bind((Ipv6Addr::LOCALHOST, *port)).is_ok()
        })
        .collect();
    assert!(free.is_empty(), "nobody listens on {free:?}");
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    // One of them leads to a server.
    tcp_echoes(local(first + (ECHO - 30000))).await;

    let listed = cluster.run("ls -o name").await.ok();
    assert_eq!(lines(&listed.stdout).len(), usize::from(PORTS) + 1);
    println!("they are listed in {:?}", listed.elapsed);
    let table = cluster.run("ls -o wide").await.ok();
    println!("and in a wide table in {:?}", table.elapsed);
    assert_eq!(table.stdout.matches(" kernel ").count(), usize::from(PORTS) + 1);

    let closed = cluster.run(&format!("close {first}-{last}")).await.ok();
    println!("{PORTS} ports are closed in {:?}", closed.elapsed);
    for port in first..=last {
        TcpListener::bind(local(port)).unwrap();
    }
    tcp_echoes(local(one)).await;
    let again = cluster.run(&format!("open --no-wait {first}-{last}:30000-{}", 30000 + PORTS - 1)).await.ok();
    println!("again in {:?}", again.elapsed);
    let all = cluster.run("close --all").await.ok();
    println!("all are closed in {:?}", all.elapsed);
    cluster.is_untouched().await;
    assert!(opened.elapsed < MANY_PORTS * SLACK * 2, "{:?}", opened.elapsed);
    assert!(added <= MEMORY * 2, "{added} KiB");
}
