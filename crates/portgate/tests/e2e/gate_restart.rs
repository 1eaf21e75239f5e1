//! Gates that are restarted, killed and stopped.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use portgate_core::status::Placement;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::flows::{Connections, Datagrams, Download, attempt};
use crate::support::{
    Cluster, DATAGRAM_ECHO, DOWNLOAD, ECHO, LONG, OTHER_ECHO, cluster, eventually, free_port, local, skipped,
};

/// How soon after its start a gate serves all that was open before.
const READY: Duration = Duration::from_secs(1);

/// What a gate gives its open connections when it is stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// What the engine needs beside that.
const ENGINE: Duration = Duration::from_secs(4);

/// Two TCP ports and a UDP port, in constant use.
struct Open {
    tcp: Connections,
    other: Connections,
    udp: Datagrams,
}

impl Open {
    async fn on(cluster: &Cluster) -> Self {
        let (tcp, other, udp) = (free_port(), free_port(), free_port());
        cluster.open_in(Placement::Published, &format!("{tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await;
        // A gate of its own.
        cluster.open_in(Placement::Published, &format!("{other}:{OTHER_ECHO}")).await;
        let udp = Datagrams::start(local(udp)).await;
        let mut open = Self { tcp: Connections::start(local(tcp)), other: Connections::start(local(other)), udp };
        open.work().await;
        open
    }

    async fn work(&mut self) {
        self.tcp.works().await;
        self.other.works().await;
        self.udp.works().await;
    }

    /// Ends the flows, and checks that they worked soon after the gate's start.
    async fn recovered(self, what: &str, start: Timestamp) {
        let (tcp, other, udp) = tokio::join!(self.tcp.stop(), self.other.stop(), self.udp.stop());
        let (tcp, udp) = (tcp.first_after(start), udp.first_after(start));
        println!("{what}: after the start of the gate, TCP worked within {tcp:?}, the UDP flow within {udp:?}");
        assert!(tcp < READY && udp < READY);
        assert!(other.failures().is_empty(), "the other gate was disturbed: {:?}", other.failures());
    }
}

#[tokio::test]
async fn a_restarted_gate_serves_all_its_ports_again() {
    let Some(cluster) = cluster().await else { return };
    let mut open = Open::on(&cluster).await;
    cluster.docker(&["restart", &cluster.gate()]).await;
    open.work().await;
    open.recovered("restarted", cluster.started_at(&cluster.gate()).await).await;
}

#[tokio::test]
async fn a_gate_that_is_killed_comes_back_by_itself() {
    if !geteuid().is_root() {
        skipped("only root can kill a gate");
        return;
    }
    let Some(cluster) = cluster().await else { return };
    let mut open = Open::on(&cluster).await;
    let before = cluster.started_at(&cluster.gate()).await;
    // Not by `docker kill`, after which the engine does not start it again.
    let state = cluster.inspect(&cluster.gate()).await["State"].clone();
    let pid = Pid::from_raw(i32::try_from(state["Pid"].as_i64().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    let killed = Instant::now();
    let restarted = async || Some(cluster.started_at(&cluster.gate()).await).filter(|start| *start > before);
    let start = eventually(restarted).await;
    open.work().await;
    println!("killed: all worked again within {:?} of the kill", killed.elapsed());
    open.recovered("killed", start).await;
}

async fn say(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.unwrap();
    let mut echo = vec![0; word.len()];
    timeout(LONG, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(echo, word);
}

#[tokio::test]
async fn a_gate_that_is_stopped_lets_open_connections_finish() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, download) = (free_port(), free_port());
    cluster.open_in(Placement::Published, &format!("{tcp}:{ECHO} {download}:{DOWNLOAD}")).await;
    let mut open = TcpStream::connect(local(tcp)).await.unwrap();
    say(&mut open, b"before").await;
    let length = 32 << 20;
    let mut download = Download::start(local(download), length).await;
    download.reaches(1).await;

    let start = Instant::now();
    let gate = cluster.gate();
    let stop = ["stop", gate.as_str()];
    let finish = async {
        eventually(async || attempt(local(tcp)).await.outcome.err()).await;
        say(&mut open, b"while the gate takes no new connections").await;
        assert!(download.received() < length, "the download was over too early to show anything");
        assert_eq!(download.finish().await, length);
        say(&mut open, b"to the end").await;
        drop(open);
    };
    tokio::join!(cluster.docker(&stop), finish);
    println!("stopped, with connections that finished, in {:?}", start.elapsed());
    assert!(start.elapsed() < DRAIN, "it did not end with its last connection: {:?}", start.elapsed());
    assert_eq!(cluster.inspect(&gate).await["State"]["ExitCode"], 0);
}

#[tokio::test]
async fn a_gate_that_is_stopped_waits_for_no_connection_for_ever() {
    let Some(cluster) = cluster().await else { return };
    let tcp = free_port();
    cluster.open_in(Placement::Published, &format!("{tcp}:{ECHO}")).await;
    let mut open = TcpStream::connect(local(tcp)).await.unwrap();
    say(&mut open, b"before").await;
    let start = Instant::now();
    cluster.docker(&["stop", &cluster.gate()]).await;
    println!("stopped, with a connection that stayed open, in {:?}", start.elapsed());
    assert!((DRAIN..DRAIN + ENGINE).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(cluster.inspect(&cluster.gate()).await["State"]["ExitCode"], 0, "it was killed");
    let end = timeout(LONG, open.read(&mut [0])).await.unwrap();
    assert!(!end.is_ok_and(|read| read > 0));
}
