//! Many clients at once.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::cluster;
use crate::processes::GateProcesses;
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, LONG, free_port, local, skipped, turn};

/// How many idle connections a gate is to bear, and with how much memory, in KiB.
const CONNECTIONS: u64 = 10_000;
const MEMORY: u64 = 64 << 10;

/// File descriptors that a connection takes in the gate, and in Docker's port proxy: there, two sockets and the two ends
/// of two pipes.
const GATE_FILES: u64 = 2;
const PROXY_FILES: u64 = 6;

/// File descriptors that are not the connections'.
const OTHER_FILES: u64 = 400;

const UDP_CLIENTS: usize = 2000;

/// Where the many clients come from: an address of loopback at which no test listens, so that they take no port away.
const FROM: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);

/// How many clients are served at a time.
const AT_ONCE: usize = 64;

/// A file of the gate's process beneath `/proc`; `None`, visibly, where the engine is on another machine.
async fn proc_file(cluster: &Cluster, file: &str) -> Option<String> {
    let pid = cluster.inspect(&cluster.gate()).await["State"]["Pid"].to_string();
    // A process with this number may be here by chance, but it is no gate of this cluster.
    let own = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains(&cluster.gate()));
    if !own {
        skipped("the gate's memory cannot be seen: its engine is elsewhere");
        return None;
    }
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// The memory of the gate's processes that is resident, in KiB.
async fn gate_memory(cluster: &Cluster) -> Option<u64> {
    proc_file(cluster, "status").await?;
    let processes = GateProcesses::of(cluster).await;
    Some(processes.all().iter().map(|process| process.resident()).sum())
}

/// How many files the gate's process may have open, and Docker's port proxy as well as this process, too.
async fn file_limit(cluster: &Cluster) -> u64 {
    let own = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: own.maximum, ..own }).unwrap();
    let gate = proc_file(cluster, "limits").await.and_then(|limits| {
        let line = limits.lines().find(|line| line.starts_with("Max open files"))?.to_owned();
        line.split_whitespace().nth(4)?.parse().ok()
    });
    gate.unwrap_or(u64::MAX).min(own.maximum.unwrap_or(u64::MAX))
}

/// As many connections as the promise says, or as a gate may have at this limit of files.
fn possible_connections(file_limit: u64) -> usize {
    usize::try_from(CONNECTIONS.min((file_limit - OTHER_FILES) / GATE_FILES)).unwrap()
}

/// As many ports as it takes not to exhaust Docker's port proxy, which has a process for each, and ends when it cannot
/// accept a connection.
fn needed_ports(connections: usize, file_limit: u64) -> Vec<u16> {
    let files = connections as u64 * PROXY_FILES;
    (0..files.div_ceil(file_limit - OTHER_FILES)).map(|_| free_port()).collect()
}

async fn connect(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(FROM).unwrap();
    let mut stream = timeout(LONG, socket.connect(to)).await.unwrap().unwrap();
    echoes(&mut stream).await;
    stream
}

/// The connection echoes its own port.
async fn echoes(stream: &mut TcpStream) {
    let word = stream.local_addr().unwrap().port().to_be_bytes();
    stream.write_all(&word).await.unwrap();
    let mut echo = [0; 2];
    timeout(LONG, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(echo, word);
}

#[tokio::test]
async fn ten_thousand_idle_connections_stay_open_in_little_memory() {
    let _turn = turn().await;
    let Some(cluster) = cluster().await else { return };
    let first = free_port();
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    let limit = file_limit(&cluster).await;
    cluster.run(&format!("close {first}")).await.ok();

    let count = possible_connections(limit);
    let ports = needed_ports(count, limit);
    let specs: Vec<String> = ports.iter().map(|port| format!("{port}:{ECHO}")).collect();
    cluster.run(&format!("open --no-wait {}", specs.join(" "))).await.ok();
    let start = Instant::now();
    let opening = (0..count).map(|number| connect(local(ports[number % ports.len()])));
    let mut connections: Vec<TcpStream> = stream::iter(opening).buffer_unordered(AT_ONCE).collect().await;
    let mut story = format!("{count} connections, opened in {:?}", start.elapsed());
    assert_eq!(open_connections(&cluster, &ports).await, count as u64);
    if let Some(memory) = gate_memory(&cluster).await {
        write!(story, ", {memory} KiB of the gate's memory resident").unwrap();
        assert!(memory <= MEMORY, "{story}");
    }
    println!("{story}");
    stream::iter(&mut connections).for_each_concurrent(AT_ONCE, echoes).await;
    assert_eq!(open_connections(&cluster, &ports).await, count as u64);
}

async fn open_connections(cluster: &Cluster, ports: &[u16]) -> u64 {
    let mut open = 0;
    for port in ports {
        open += cluster.mapping(*port).await["counters"]["connections_open"].as_u64().unwrap();
    }
    open
}

/// A client with a word of its own, and a socket connected to the port.
struct UdpClient {
    socket: UdpSocket,
    word: String,
}

impl UdpClient {
    async fn new(number: usize, to: SocketAddr) -> Self {
        let socket = UdpSocket::bind(FROM).await.unwrap();
        socket.connect(to).await.unwrap();
        Self { socket, word: format!("client {number}") }
    }

    async fn send(&self) {
        self.socket.send(self.word.as_bytes()).await.unwrap();
    }

    /// Whether the client's own word came back. Another one must not.
    async fn hears_itself(&self, patience: Duration) -> bool {
        let mut reply = [0; 64];
        let Ok(received) = timeout(patience, self.socket.recv(&mut reply)).await else { return false };
        assert_eq!(String::from_utf8_lossy(&reply[..received.unwrap()]), self.word);
        true
    }
}

/// Each client says its word; returns those that did not hear it.
async fn round<'a>(clients: &[&'a UdpClient]) -> Vec<&'a UdpClient> {
    let mut pace = interval(Duration::from_millis(1));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for some in clients.chunks(2) {
        pace.tick().await;
        for client in some {
            client.send().await;
        }
    }
    let mut deaf = Vec::new();
    for client in clients {
        // What comes at all waits in the sockets after the first time-out.
        let patience = if deaf.is_empty() { Duration::from_secs(2) } else { Duration::from_millis(50) };
        if !client.hears_itself(patience).await {
            deaf.push(*client);
        }
    }
    deaf
}

#[tokio::test]
async fn two_thousand_udp_clients_at_once_hear_their_own_replies() {
    let _turn = turn().await;
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{DATAGRAM_ECHO}/udp")).await.ok();
    let mut clients = Vec::new();
    for number in 0..UDP_CLIENTS {
        clients.push(UdpClient::new(number, local(port)).await);
    }
    let clients: Vec<&UdpClient> = clients.iter().collect();
    for time in 1..=2 {
        let deaf = round(&clients).await;
        println!("time {time}: {} of {UDP_CLIENTS} datagrams lost", deaf.len());
        assert!(deaf.len() <= UDP_CLIENTS / 20, "{}", deaf.len());
        assert_eq!(round(&deaf).await.len(), 0, "lost twice");
    }
    let counters = cluster.mapping(port).await["counters"].clone();
    assert!(counters["sessions_open"].as_u64().unwrap() >= UDP_CLIENTS as u64, "{counters:#}");
    assert_eq!(counters["sessions_evicted"], 0);
}
