//! Ports that are opened and closed while others carry traffic.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use portgate_core::control::{Change, Detail, Request, Response};
use portgate_core::mapping::{HostAddresses, Local, Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_gate::client::Session;
use portgate_gate::paths::host_socket;
use tokio::net::UnixStream;

use crate::client::{Talk, tcp_echoes};
use crate::flows::Download;
use crate::stream::Stream;
use crate::support::{
    BOTH, Cluster, DATAGRAM_ECHO, DOWNLOAD, ECHO, OTHER_ECHO, free_port, free_ports, host_cluster, local, turn,
};

/// How many ports are opened and closed, and how often.
const PORTS: u16 = 40;
const CHANGES: usize = 500;

/// How often that is done by a command, and not over the control socket.
const COMMAND_EVERY: usize = 20;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn closing_a_port_frees_it_and_ends_its_connections() {
    for datapath in ["kernel", "relay"] {
        let Some(cluster) = host_cluster().await else { return };
        let (kept, closed) = (free_port(), free_port());
        cluster.run(&format!("open --datapath {datapath} {kept}:{ECHO} {closed}:{OTHER_ECHO}")).await.ok();
        let mut through_kept = Talk::start(local(kept)).await;
        let through_closed = Talk::start(local(closed)).await;
        let over_ipv6 = Talk::start((std::net::Ipv6Addr::LOCALHOST, closed).into()).await;
        assert_eq!(cluster.mapping(closed).await["datapath"], datapath);

        cluster.run(&format!("close {closed}")).await.ok();
        TcpListener::bind(local(closed)).unwrap();
        over_ipv6.ends().await;
        through_closed.ends_if_spoken_to().await;
        through_kept.goes_on().await;
        tcp_echoes(local(kept)).await;
    }
}

/// A conversation with a cluster's gate over its socket.
struct Control(Session<UnixStream>);

impl Control {
    async fn connect(cluster: &Cluster) -> Self {
        Self(Session::connect(&host_socket(&cluster.id()), Duration::ZERO).await.unwrap())
    }

    async fn change(&mut self, open: Vec<Mapping>, close: Vec<Local>) {
        let Response::Status(status) = self.0.request(&Request::Status { detail: Detail::Whole }).await.unwrap() else {
            panic!("no status")
        };
        let change = Change { revision: status.revision, open, close, ..Change::default() };
        self.0.request(&Request::Change(change)).await.unwrap();
    }
}

fn mapping(port: u16, protocol: Protocol) -> Mapping {
    let port = Port::new(port).unwrap();
    let local = Local { addresses: HostAddresses::loopback(), port, protocol };
    Mapping { local, target: Target::NodePort { port: Port::new(BOTH).unwrap() } }
}

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u16) -> u16 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u16::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}

/// Opens and closes a few of these ports at random, again and again.
async fn change_at_random(cluster: &Cluster, first: u16) {
    let (mut control, mut dice) = (Control::connect(cluster).await, Dice(7));
    let mut open: BTreeSet<(u16, Protocol)> = BTreeSet::new();
    for number in 0..CHANGES {
        let protocol = if dice.below(2) == 0 { Protocol::Tcp } else { Protocol::Udp };
        let chosen: BTreeSet<u16> = (0..=dice.below(3)).map(|_| first + dice.below(PORTS)).collect();
        let (close, new): (Vec<_>, Vec<_>) =
            chosen.into_iter().map(|port| (port, protocol)).partition(|port| open.contains(port));
        if number % COMMAND_EVERY == 0 {
            let names = |ports: &[(u16, Protocol)], target: &str| {
                ports.iter().map(|(port, protocol)| format!("{port}{target}/{protocol}")).collect::<Vec<_>>().join(" ")
            };
            if !close.is_empty() {
                cluster.run(&format!("close {}", names(&close, ""))).await.ok();
            }
            if !new.is_empty() {
                cluster.run(&format!("open --no-wait {}", names(&new, &format!(":{BOTH}")))).await.ok();
            }
        } else {
            let closing = close.iter().map(|(port, protocol)| mapping(*port, *protocol).local).collect();
            control.change(new.iter().map(|(port, protocol)| mapping(*port, *protocol)).collect(), closing).await;
        }
        open.retain(|port| !close.contains(port));
        open.extend(new);
    }
    for (port, protocol) in &open {
        assert_eq!(cluster.mapping_of(*port, &protocol.to_string()).await["datapath"], "kernel");
    }
    println!("{} ports are open after that", open.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_changes_disturb_no_traffic_of_other_ports() {
    let _turn = turn().await;
    let Some(cluster) = host_cluster().await else { return };
    let (echo, download, udp, first) = (free_port(), free_port(), free_port(), free_ports(PORTS));
    cluster.run(&format!("open {echo}:{ECHO} {download}:{DOWNLOAD} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    let mut talk = Talk::start(local(echo)).await;
    let mut download = Download::start(local(download), u64::MAX).await;
    download.hurry();
    download.reaches(MIB).await;
    let stream = Stream::start(local(udp));

    let start = Instant::now();
    change_at_random(&cluster, first).await;
    let elapsed = start.elapsed();
    println!("{CHANGES} changes in {elapsed:?}");

    let received = download.received();
    println!("TCP: {} MiB, {} MiB/s", received / MIB, received / MIB / elapsed.as_secs().max(1));
    download.reaches(received + MIB).await;
    download.abandon().await;
    talk.goes_on().await;
    let report = stream.stop();
    println!("UDP: {} datagrams, {} a second; {report:?}", report.sent, report.rate);
    assert_eq!(report.lost, 0, "{report:?}");
    assert!(report.sent > 10_000, "{report:?}");
}
