//! The kernel's rules and settings, of which others change theirs, and sometimes ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portgate_core::status::Placement;
use serde_json::Value;
use tokio::process::Command;

use crate::engine::{OwnEngine, in_own_network};
use crate::flows::{Connections, Datagrams, attempt};
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, cluster_on, eventually, finish, free_port, local, turn};

/// How long traffic may stand still when others change their rules. The promise is 1 s; this is for a busy machine.
const STANDSTILL: Duration = Duration::from_secs(2);

/// As nftables.service has it: all away, and rules that let in what was asked for from here.
const RELOADED: &str = "flush ruleset
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
    }
    chain forward { type filter hook forward priority filter; policy accept; }
    chain output { type filter hook output priority filter; policy accept; }
}
";

/// A cluster in a network of its own, with a TCP and a UDP port that the kernel carries.
struct Carried {
    cluster: Cluster,
    tcp: u16,
    udp: u16,
    bridge: String,
    _engine: OwnEngine,
}

impl Carried {
    async fn start() -> Option<Self> {
        let engine = OwnEngine::start().await;
        let cluster = cluster_on(Some(engine.host())).await?;
        let bridge = cluster.engine.bridge(&cluster.network()).await.unwrap().unwrap();
        let carried = Self { cluster, tcp: free_port(), udp: free_port(), bridge, _engine: engine };
        Some(carried)
    }

    async fn opened() -> Option<Self> {
        let carried = Self::start().await?;
        carried.open().await;
        Some(carried)
    }

    async fn open(&self) {
        let ports = format!("{}:{ECHO} {}:{DATAGRAM_ECHO}/udp", self.tcp, self.udp);
        self.cluster.open_in(Placement::Host, &ports).await;
        assert!(self.is_carried().await);
    }

    /// Whether the kernel carries a connection that is made now.
    async fn is_carried(&self) -> bool {
        let before = self.packets().await;
        attempt(local(self.tcp)).await.outcome.unwrap();
        self.packets().await > before
    }

    /// How many packets the gate's table has counted.
    async fn packets(&self) -> u64 {
        let table = run(&["nft", "list", "table", "ip", &self.cluster.table()]).await;
        let counts = table.split("packets ").skip(1).filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok());
        counts.sum()
    }

    /// The name of the table that keeps the cluster's containers from the host's loopback.
    fn guard(&self) -> String {
        format!("portgate-guard-{}", self.bridge)
    }

    fn loopback_on_bridge(&self) -> PathBuf {
        PathBuf::from(format!("/proc/sys/net/ipv4/conf/{}/route_localnet", self.bridge))
    }

    fn carries_loopback(&self) -> bool {
        fs::read_to_string(self.loopback_on_bridge()).unwrap().trim() == "1"
    }

    /// Runs a command of somebody else's, during which traffic flows, and after which it does by the kernel.
    async fn outlives(&self, command: &[&str]) {
        let (mut connections, datagrams) =
            (Connections::start(local(self.tcp)), Datagrams::start(local(self.udp)).await);
        connections.works().await;
        datagrams.works().await;
        let begun = Timestamp::now();
        run(command).await;
        connections.works().await;
        datagrams.works().await;
        let carried = eventually(async || self.is_carried().await.then(Timestamp::now)).await;
        let (connections, datagrams) = tokio::join!(connections.stop(), datagrams.stop());
        let (outage, silence) = (connections.outage(begun), datagrams.longest_silence());
        println!(
            "{}: TCP worked again after {outage:?}, {} of {} connections failed, the slowest took {:?}; the UDP flow \
             was silent for at most {silence:?}, {} of {} datagrams were lost; by the kernel within {:#}",
            command.join(" "),
            connections.failures().len(),
            connections.0.len(),
            connections.slowest(),
            datagrams.lost().len(),
            datagrams.sent(),
            carried.duration_since(begun),
        );
        assert!(outage < STANDSTILL && silence < STANDSTILL && connections.slowest() < STANDSTILL);
        assert_eq!(self.cluster.tables().await.len(), 1);
        assert!(self.carries_loopback());
        assert_eq!(self.cluster.mapping(self.tcp).await["datapath"], "kernel");
    }
}

/// What a command says.
async fn run(command: &[&str]) -> String {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]);
    finish(process).await.ok().stdout
}

#[test]
fn traffic_flows_on_when_a_firewall_flushes_and_reloads() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::opened().await else { return };
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nftables.conf");
        fs::write(&file, RELOADED).unwrap();
        carried.outlives(&["iptables-nft", "-F"]).await;
        carried.outlives(&["iptables-nft", "-t", "nat", "-F"]).await;
        carried.outlives(&["nft", "-f", file.to_str().unwrap()]).await;
        carried.outlives(&["nft", "flush", "ruleset"]).await;
        let left = run(&["nft", "list", "tables"]).await;
        let ours = [carried.cluster.table(), carried.guard()].map(|table| format!("table ip {table}"));
        assert_eq!(left.lines().collect::<BTreeSet<_>>(), ours.iter().map(String::as_str).collect(), "{left}");
    });
}

#[test]
fn the_gates_table_is_its_own() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::opened().await else { return };
        let mut delete = Command::new("nft");
        delete.args(["delete", "table", "ip", &carried.cluster.table()]);
        let refused = finish(delete).await;
        assert!(!refused.status.success(), "{refused:?}");
        assert!(carried.is_carried().await);
    });
}

#[test]
fn a_setting_that_others_turn_off_is_on_again_when_the_state_is_asked_for() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::opened().await else { return };
        // The kernel tells nobody.
        fs::write(carried.loopback_on_bridge(), "0").unwrap();
        carried.cluster.run("ls").await.ok();
        assert!(carried.carries_loopback());
        assert!(carried.is_carried().await);
    });
}

#[test]
fn a_setting_that_others_turn_off_is_on_again_by_itself() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::opened().await else { return };
        for _ in 0..3 {
            fs::write(carried.loopback_on_bridge(), "0").unwrap();
            let off = Instant::now();
            eventually(async || carried.carries_loopback().then_some(())).await;
            println!("the setting was on again after {:?}", off.elapsed());
            assert!(off.elapsed() < STANDSTILL);
            assert!(carried.is_carried().await);
        }
    });
}

#[test]
fn the_guard_outlives_a_gate_that_is_killed() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::opened().await else { return };
        let cluster = &carried.cluster;
        cluster.docker(&["kill", &cluster.gate()]).await;
        eventually(async || cluster.tables().await.is_empty().then_some(())).await;
        assert!(carried.carries_loopback());
        let guard = run(&["nft", "list", "table", "ip", &carried.guard()]).await;
        for end in ["daddr", "saddr"] {
            assert!(guard.contains(&format!("iifname \"{}\" ip {end} 127.0.0.0/8 drop", carried.bridge)), "{guard}");
        }
        cluster.run("down").await.ok();
        assert!(!carried.carries_loopback());
        assert!(!run(&["nft", "list", "tables"]).await.contains("portgate"));
    });
}

#[test]
fn nothing_of_a_gate_on_the_host_is_left_on_it() {
    in_own_network(async || {
        let _turn = turn().await;
        let Some(carried) = Carried::start().await else { return };
        let cluster = &carried.cluster;
        let before = Traces::of(cluster).await;
        carried.open().await;
        assert!(Traces::of(cluster).await.differences(&before).len() > 10);
        cluster.run("down").await.ok();
        let after = Traces::of(cluster).await;
        assert!(after.differences(&before).is_empty(), "{:#?}", after.differences(&before));
        // One that has no time to clean up, and that the engine does not start again.
        carried.open().await;
        cluster.docker(&["kill", &cluster.gate()]).await;
        cluster.run("down").await.ok();
        let after = Traces::of(cluster).await;
        assert!(after.differences(&before).is_empty(), "{:#?}", after.differences(&before));
        cluster.is_untouched().await;
    });
}

/// All that a gate can change on the host, a line for each thing.
struct Traces(BTreeSet<String>);

impl Traces {
    async fn of(cluster: &Cluster) -> Self {
        let mut traces: BTreeSet<String> = cluster.files().into_iter().map(|path| path.display().to_string()).collect();
        // Without counters.
        let ruleset: Value = serde_json::from_str(&run(&["nft", "-j", "-s", "list", "ruleset"]).await).unwrap();
        traces.extend(ruleset["nftables"].as_array().unwrap().iter().map(Value::to_string));
        for command in ["ip rule", "ip -6 rule", "ip -4 route show table all", "ip -6 route show table all"] {
            let command: Vec<&str> = command.split(' ').collect();
            // The kernel gives interfaces IPv6 addresses when it has made sure that they are free.
            let told = run(&command).await;
            let routes = told.lines().filter(|line| !(command[1] == "-6" && line.contains("proto kernel")));
            traces.extend(routes.map(|line| format!("{}: {line}", command.join(" "))));
        }
        for interface in fs::read_dir("/proc/sys/net/ipv4/conf").unwrap() {
            for setting in ["route_localnet", "rp_filter", "src_valid_mark"] {
                let path = interface.as_ref().unwrap().path().join(setting);
                traces.insert(format!("{} = {}", path.display(), fs::read_to_string(&path).unwrap().trim()));
            }
        }
        Self(traces)
    }

    /// What is there only now, or was there only before.
    fn differences<'a>(&'a self, before: &'a Self) -> Vec<&'a String> {
        self.0.symmetric_difference(&before.0).collect()
    }
}
