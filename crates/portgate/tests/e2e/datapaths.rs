//! How bytes travel, and what is said of it.

use insta::assert_snapshot;

use crate::client::{tcp_echoes, udp_echoes};
use crate::processes::GateProcesses;
use crate::support::{BOTH, Cluster, ECHO, cluster, free_port, host_cluster, local};

/// What `portgate ls -o wide` has beneath DATAPATH, in the order of the ports.
async fn datapaths(cluster: &Cluster) -> String {
    let wide = cluster.run("ls -o wide").await.ok().stdout;
    let title = wide.lines().next().unwrap();
    let (from, to) = (title.find("DATAPATH").unwrap(), title.find("STATE").unwrap());
    let cells = wide.lines().skip(1).map(|line| line.get(from..to).unwrap_or_else(|| panic!("{wide}")).trim());
    cells.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn the_kernel_carries_ipv4_and_the_relay_what_is_for_ipv6_only() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:{ECHO}")).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @"kernel");
    cluster.run(&format!("close {port}")).await.ok();
    cluster.run(&format!("open [::1]:{port}:{ECHO}")).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @"relay (IPv6)");
    tcp_echoes((std::net::Ipv6Addr::LOCALHOST, port).into()).await;
    assert_eq!(cluster.mapping(port).await["relay_because"], serde_json::json!({ "reason": "local-ipv6" }));
}

#[tokio::test]
async fn the_relay_carries_what_it_was_asked_to() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --datapath relay {port}:{BOTH}/tcp+udp")).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @r"
    relay (asked for)
    relay (asked for)
    ");
    tcp_echoes(local(port)).await;
    udp_echoes(local(port)).await;
}

#[tokio::test]
async fn the_relay_carries_published_ports_unless_the_kernel_is_asked_for() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:{ECHO}")).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @"relay (kernel not asked for)");
}

#[tokio::test]
async fn the_kernel_carries_published_ports_if_it_is_asked_to() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --datapath kernel {port}:{BOTH}/tcp+udp")).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @r"
    kernel
    kernel
    ");
    for address in [local(port), (std::net::Ipv6Addr::LOCALHOST, port).into()] {
        tcp_echoes(address).await;
        udp_echoes(address).await;
    }
    assert_eq!(cluster.mapping_of(port, "tcp").await["placement"], "published");
    let config = cluster.inspect(&cluster.gate()).await["HostConfig"].take();
    assert_eq!(config["CapDrop"], serde_json::json!(["ALL"]));
    assert_eq!(config["CapAdd"].as_array().unwrap().len(), 3, "{}", config["CapAdd"]);
}

#[tokio::test]
async fn a_published_gate_that_may_programme_the_kernel_leaves_traffic_to_a_worker() {
    let Some(cluster) = cluster().await else { return };
    if !rustix::process::geteuid().is_root() {
        return crate::support::skipped("only root can look at other users' processes");
    }
    let port = free_port();
    cluster.run(&format!("open --datapath kernel {port}:{BOTH}/tcp+udp")).await.ok();
    let GateProcesses { supervisor, worker } = GateProcesses::of(&cluster).await;
    let worker = worker.expect("a worker");
    assert_eq!(worker.status("Uid"), "65534\t65534\t65534\t65534");
    assert_eq!(u64::from_str_radix(&worker.status("CapEff"), 16), Ok(0));
    assert_eq!((worker.status("NoNewPrivs"), worker.status("Seccomp")), ("1".to_owned(), "2".to_owned()));
    // The container's filters, if it has any, and the worker's own.
    let filters = [&supervisor, &worker].map(|process| process.status("Seccomp_filters").parse::<u32>().unwrap());
    assert_eq!(filters[0] + 1, filters[1]);
}

#[tokio::test]
async fn the_kernel_is_chosen_by_a_variable_too() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port().to_string();
    let mut command = cluster.command(&["open", "--no-wait", &format!("{port}:{ECHO}")]);
    command.env("PORTGATE_PLACEMENT", "host").env("PORTGATE_DATAPATH", "relay");
    crate::support::finish(command).await.ok();
    assert_snapshot!(datapaths(&cluster).await, @"relay (asked for)");
    assert_eq!(cluster.mapping(port.parse().unwrap()).await["placement"], "host");
}

#[tokio::test]
async fn a_mapping_that_leads_nowhere_is_the_relays() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:{ECHO}")).await.ok();
    cluster.docker(&["kill", &cluster.node("server-0")]).await;
    let nowhere = async || Some(cluster.mapping(port).await).filter(|mapping| mapping["state"] == "no-backend");
    crate::support::eventually(nowhere).await;
    assert_snapshot!(datapaths(&cluster).await, @"relay (no backend)");
    cluster.docker(&["start", &cluster.node("server-0")]).await;
    let somewhere = async || Some(cluster.mapping(port).await).filter(|mapping| mapping["state"] == "open");
    crate::support::eventually(somewhere).await;
    assert_snapshot!(datapaths(&cluster).await, @"kernel");
}
