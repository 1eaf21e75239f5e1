//! A gate in the host's network: one container for all ports, and what it may do.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{tcp_echoes, tcp_is_closed, udp_echoes};
use crate::processes::GateProcesses;
use crate::support::{
    BOTH, Cluster, DATAGRAM_ECHO, ECHO, OTHER_ECHO, cluster, finish, free_port, free_ports, host_cluster, lines, local,
    skipped,
};

/// The ports below this one are for processes with a right to them.
const UNPRIVILEGED: &str = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

#[tokio::test]
async fn by_default_the_gate_is_in_the_hosts_network_and_the_kernel_carries() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{BOTH}/tcp+udp")).await.ok();
    let list = cluster.run("ls -o json").await.ok().json();
    for mapping in list["items"].as_array().unwrap() {
        assert_eq!((&mapping["placement"], &mapping["datapath"]), (&json!("host"), &json!("kernel")), "{list:#}");
    }
    tcp_echoes(local(port)).await;
    udp_echoes(local(port)).await;
    // The relay is there as well, and holds the port.
    TcpListener::bind(local(port)).unwrap_err();
    let log = cluster.run("logs").await.ok().stdout;
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
}

#[tokio::test]
async fn one_gate_carries_all_ports() {
    let Some(cluster) = host_cluster().await else { return };
    let ports = [(); 3].map(|()| free_port());
    for port in ports {
        cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    }
    let created = cluster.inspect(&cluster.gate()).await["Created"].clone();
    cluster.run(&format!("close {}", ports[1])).await.ok();
    cluster.run(&format!("open {}:{OTHER_ECHO}", ports[1])).await.ok();
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    assert_eq!(cluster.inspect(&cluster.gate()).await["Created"], created);
    for port in ports {
        tcp_echoes(local(port)).await;
    }
}

/// The sorted texts of a list.
fn sorted(list: &Value) -> Vec<&str> {
    let mut texts: Vec<&str> = list.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect();
    texts.sort_unstable();
    texts
}

#[tokio::test]
async fn the_container_has_the_rights_that_it_needs_and_no_other() {
    let Some(cluster) = host_cluster().await else { return };
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    let gate = cluster.inspect(&cluster.gate()).await;
    let config = &gate["HostConfig"];
    assert_eq!(config["NetworkMode"], "host");
    assert_eq!(gate["NetworkSettings"]["Networks"].as_object().unwrap().keys().collect::<Vec<_>>(), ["host"]);
    let network = cluster.docker(&["network", "inspect", &cluster.network()]).await;
    assert!(!network.contains(&cluster.gate()), "{network}");
    assert!(config["PortBindings"].as_object().is_none_or(serde_json::Map::is_empty), "{}", config["PortBindings"]);
    assert_eq!(config["CapDrop"], json!(["ALL"]));
    let capabilities: Vec<String> =
        sorted(&config["CapAdd"]).iter().map(|name| name.trim_start_matches("CAP_").to_owned()).collect();
    assert_eq!(capabilities, ["NET_ADMIN", "NET_BIND_SERVICE", "SETGID", "SETUID"]);
    assert_eq!(config["Privileged"], false);
    assert_eq!(config["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(config["ReadonlyRootfs"], true);
    assert_eq!(config["RestartPolicy"]["Name"], "unless-stopped");
    let readonly = sorted(&config["ReadonlyPaths"]);
    assert!(!readonly.contains(&"/proc/sys") && readonly.contains(&"/proc/sys/kernel"), "{readonly:?}");
}

#[tokio::test]
async fn a_gate_for_the_relay_has_no_say_in_the_kernel() {
    let Some(cluster) = host_cluster().await else { return };
    cluster.run(&format!("open --datapath relay {}:{ECHO}", free_port())).await.ok();
    let config = cluster.inspect(&cluster.gate()).await["HostConfig"].take();
    assert!(!config["CapAdd"].to_string().contains("NET_ADMIN"), "{}", config["CapAdd"]);
    assert!(sorted(&config["ReadonlyPaths"]).contains(&"/proc/sys"), "{}", config["ReadonlyPaths"]);
}

#[tokio::test]
async fn the_supervisor_has_no_right_but_those() {
    let Some(cluster) = host_cluster().await else { return };
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    let supervisor = GateProcesses::of(&cluster).await.supervisor;
    // Linux's numbers: SETGID 6, SETUID 7, NET_BIND_SERVICE 10, NET_ADMIN 12.
    let most: u64 = 1 << 6 | 1 << 7 | 1 << 10 | 1 << 12;
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let capabilities = u64::from_str_radix(&supervisor.status(set), 16).unwrap();
        assert_eq!(capabilities & !most, 0, "{set} {capabilities:x}");
    }
    assert_eq!(supervisor.status("NoNewPrivs"), "1");
}

#[tokio::test]
async fn a_port_below_1024_works() {
    let Some(cluster) = host_cluster().await else { return };
    let first: u16 = std::fs::read_to_string(UNPRIVILEGED).unwrap().trim().parse().unwrap();
    // Not a well-known one; at another address of loopback, so that nobody misses it.
    let address = Ipv4Addr::new(127, 0, 0, 77);
    let process = u16::try_from(std::process::id() % 100).unwrap();
    let port = (700 + process..1024).find(|port| TcpListener::bind((address, *port)).is_ok());
    let Some(port) = port else { return skipped("this user may not look for a free port") };
    cluster.run(&format!("open {address}:{port}:{BOTH}/tcp+udp")).await.ok();
    tcp_echoes((address, port).into()).await;
    udp_echoes((address, port).into()).await;
    assert!(first > port, "all ports are for everybody here");
}

/// An address of this machine that other machines may use.
fn own_address() -> Option<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    // Kept for documentation by RFC 5737; nothing is sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().unwrap() {
        SocketAddr::V4(address) => Some(*address.ip()),
        SocketAddr::V6(_) => None,
    }
}

/// What a client in the network of this container hears.
async fn says_to(other: &Cluster, container: &str, address: SocketAddr) -> String {
    let id = other.inspect(container).await["State"]["Pid"].to_string();
    let talk = format!("exec 3<>/dev/tcp/{}/{}; echo hello >&3; head -n1 <&3", address.ip(), address.port());
    let mut command = tokio::process::Command::new("nsenter");
    command.args(["--target", &id, "--net", "timeout", "10", "bash", "-c", &talk]);
    finish(command).await.ok().stdout
}

#[tokio::test]
async fn a_port_for_other_machines_is_reached_from_everywhere() {
    let Some((cluster, other)) = host_cluster().await.zip(cluster().await) else { return };
    let port = free_port();
    cluster.run(&format!("open 0.0.0.0:{port}:{ECHO} 0.0.0.0:{port}:{DATAGRAM_ECHO}/udp")).await.ok();
    let list = cluster.run("ls -o json").await.ok().json();
    assert!(list["items"].as_array().unwrap().iter().all(|item| item["datapath"] == "kernel"), "{list:#}");
    tcp_echoes(local(port)).await;
    udp_echoes(local(port)).await;
    let network = other.docker(&["network", "inspect", &other.network()]).await;
    let network: Value = serde_json::from_str(&network).unwrap();
    let gateway: Ipv4Addr = network[0]["IPAM"]["Config"][0]["Gateway"].as_str().unwrap().parse().unwrap();
    for own in own_address().into_iter().chain([gateway]) {
        tcp_echoes((own, port).into()).await;
    }
    if rustix::process::geteuid().is_root() {
        let from = other.node("server-0");
        assert_eq!(says_to(&other, &from, (gateway, port).into()).await, "hello\n");
    } else {
        skipped("only root can enter another network");
    }
    cluster.run("close --all").await.ok();
    tcp_is_closed((gateway, port).into()).await;
}

#[tokio::test]
async fn another_placement_than_that_of_the_gate_is_refused() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    let other = ["--placement published", "--datapath relay"];
    for option in other {
        let refused = cluster.run(&format!("open {option} {}:{ECHO}", free_port())).await.fails(1);
        assert!(refused.stderr.contains("portgate migrate"), "{}", refused.stderr);
    }
    cluster.run(&format!("open --placement host --datapath kernel {}:{ECHO}", free_port())).await.ok();
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    tcp_echoes(local(port)).await;
}

/// The lines of the error of a command that fails.
async fn refused(cluster: &Cluster, arguments: &str) -> String {
    let ran = cluster.run(arguments).await.fails(1);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[tokio::test]
async fn a_running_gate_names_who_holds_a_port() {
    let Some(cluster) = host_cluster().await else { return };
    let (open, free, taken, published) = (free_port(), free_port(), free_port(), free_port());
    cluster.run(&format!("open {open}:{ECHO}")).await.ok();
    let _holder = TcpListener::bind(local(taken)).unwrap();
    let error = refused(&cluster, &format!("open {free}:{ECHO} {taken}:{ECHO}")).await;
    let expected = format!("error: 127.0.0.1:{taken}/tcp is taken by process ");
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.contains(&format!("(pid {})", std::process::id())), "{error}");
    assert!(error.contains("hint: name another host port"), "{error}");

    let (name, demo) = (format!("{}-web", cluster.name), format!("dev.portgate.demo={}", cluster.name));
    let publish = format!("127.0.0.1:{published}:{ECHO}");
    let run = ["run", "--detach", "--name", &name, "--label", &demo, "--publish", &publish, cluster.image()];
    cluster.docker(&run).await;
    let error = refused(&cluster, &format!("open {free}:{ECHO} {published}:{ECHO}")).await;
    let expected = format!("error: 127.0.0.1:{published}/tcp is taken by container {name}\n");
    assert!(error.starts_with(&expected), "{error}");

    TcpListener::bind(local(free)).unwrap();
    assert_eq!(lines(&cluster.run("ls -o name").await.ok().stdout), [format!("localhost:{open}/tcp")]);
    tcp_echoes(local(open)).await;
}

#[tokio::test]
async fn another_clusters_gate_in_the_hosts_network_is_named() {
    let Some((cluster, other)) = host_cluster().await.zip(host_cluster().await) else { return };
    let (port, own) = (free_port(), free_port());
    other.run(&format!("open {port}:{ECHO}")).await.ok();
    for _ in 0..2 {
        let error = refused(&cluster, &format!("open {port}:{ECHO}")).await;
        assert!(error.contains(&format!("is taken by container {}", other.gate())), "{error}");
        cluster.run(&format!("open {own}:{ECHO}")).await.ok();
    }
}

#[tokio::test]
async fn a_dry_run_tells_of_one_gate() {
    let Some(cluster) = host_cluster().await else { return };
    let (first, gate) = (free_ports(2), cluster.gate());
    let second = first + 1;
    let planned = cluster.run(&format!("open --dry-run {first}:{ECHO}")).await.ok();
    assert_eq!(
        planned.stdout,
        format!("create container {gate} (host placement): open localhost:{first}/tcp -> {ECHO}\n")
    );
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    let planned = cluster.run(&format!("open --dry-run {second}:{ECHO}")).await.ok();
    assert_eq!(planned.stdout, format!("change container {gate}: open localhost:{second}/tcp -> {ECHO}\n"));
    TcpListener::bind(local(second)).unwrap();
    assert!(planned.elapsed < Duration::from_secs(5), "{:?}", planned.elapsed);
}
