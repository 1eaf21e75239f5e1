//! A gate in the host's network whose processes are killed.

use std::io::ErrorKind;
use std::time::Duration;

use jiff::Timestamp;
use portgate_core::status::Placement;
use rustix::process::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::flows::{Attempt, Connections, Datagrams, Download, attempt};
use crate::placed::{cluster_with_processes, has_ended, kill};
use crate::support::{Cluster, DATAGRAM_ECHO, DOWNLOAD, ECHO, LONG, eventually, free_port, local, turn};

/// How soon a gate that was killed serves again. The promise is 2 s; this is for a busy machine.
const GATE: Duration = Duration::from_secs(4);

/// How soon another worker serves. The promise is 100 ms; this is for a busy machine.
const WORKER: Duration = Duration::from_millis(500);

/// How often a worker is killed, the later ones young.
const ROUNDS: usize = 3;

#[tokio::test]
async fn a_gate_on_the_host_that_is_killed_serves_again_within_two_seconds() {
    let _turn = turn().await;
    let Some(cluster) = cluster_with_processes().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    cluster.open_in(Placement::Host, &format!("{tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await;
    let before = Possessions::of(&cluster).await;
    // The second time, the engine waits longer before it starts the container again.
    for round in 1..=2 {
        let (mut connections, datagrams) = (Connections::start(local(tcp)), Datagrams::start(local(udp)).await);
        connections.works().await;
        datagrams.works().await;
        let (gate, worker) = (cluster.process(&cluster.gate()).await, cluster.worker().await);
        let killed = Timestamp::now();
        kill(gate).await;
        // A way that is there still would work for a moment more.
        eventually(async || is_another(&cluster, gate).await.then_some(())).await;
        drop(cluster.control().await);
        connections.works().await;
        datagrams.works().await;
        let (connections, datagrams) = tokio::join!(connections.stop(), datagrams.stop());
        let (outage, silence) = (connections.outage(killed), datagrams.longest_silence());
        println!(
            "gate killed, {round}: TCP worked again after {outage:?}, {} of {} connections failed; the UDP flow was \
             silent for at most {silence:?}, {} of {} datagrams were lost",
            connections.failures().len(),
            connections.0.len(),
            datagrams.lost().len(),
            datagrams.sent(),
        );
        assert!(outage < GATE && silence < GATE);
        assert!(has_ended(worker), "the first gate's worker lives");
        assert_eq!(Possessions::of(&cluster).await, before);
    }
}

/// What there is of a gate, none of it twice.
#[derive(Debug, PartialEq, Eq)]
struct Possessions {
    gates: Vec<String>,
    volumes: Vec<String>,
    tables: Vec<String>,
    files: Vec<std::path::PathBuf>,
    mappings: Vec<(String, String)>,
}

impl Possessions {
    async fn of(cluster: &Cluster) -> Self {
        let status = cluster.control().await.status().await;
        let mapping = |mapping: &portgate_core::status::MappingStatus| {
            (
                mapping.local.to_string(),
                format!("{} by {}: {:?}", mapping.target, mapping.datapath.name(), mapping.state),
            )
        };
        cluster.worker().await;
        Self {
            gates: cluster.gates().await,
            volumes: cluster.volumes().await,
            tables: cluster.tables().await,
            files: cluster.files(),
            mappings: status.mappings.iter().map(mapping).collect(),
        }
    }
}

async fn is_another(cluster: &Cluster, gate: Pid) -> bool {
    let state = cluster.inspect(&cluster.gate()).await["State"].clone();
    state["Running"] == true && state["Pid"] != gate.as_raw_nonzero().get()
}

#[tokio::test]
async fn no_connection_is_refused_while_a_killed_worker_is_replaced() {
    let _turn = turn().await;
    let Some(cluster) = cluster_with_processes().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    let ports = format!("open --placement host --datapath relay {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp");
    cluster.run(&ports).await.ok();
    let (mut connections, datagrams) = (Connections::start(local(tcp)), Datagrams::start(local(udp)).await);
    connections.works().await;
    datagrams.works().await;
    let mut deaths = Vec::new();
    for round in 1..=ROUNDS {
        let worker = cluster.worker().await;
        let killed = Timestamp::now();
        kill(worker).await;
        deaths.push((killed, Timestamp::now()));
        let first = attempt(local(tcp)).await;
        first.outcome.unwrap();
        println!("worker killed, {round}: the first connection after that took {:?}", first.took);
        assert!(first.took < WORKER, "{:?}", first.took);
        datagrams.works().await;
    }
    let (connections, datagrams) = tokio::join!(connections.stop(), datagrams.stop());
    println!(
        "worker killed: {} of {} connections were cut, {} of {} datagrams lost, the flow was silent for at most {:?}",
        connections.failures().len(),
        connections.0.len(),
        datagrams.lost().len(),
        datagrams.sent(),
        datagrams.longest_silence(),
    );
    let was_open = |attempt: &&Attempt| {
        deaths.iter().any(|(from, to)| attempt.began <= *to && attempt.began + attempt.took >= *from)
    };
    let refused =
        |attempt: &&Attempt| attempt.outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    let failures = connections.failures();
    assert!(failures.iter().all(was_open) && !failures.iter().any(refused), "{failures:?}");
    assert!(connections.slowest() < WORKER && datagrams.longest_silence() < WORKER);
}

async fn say(stream: &mut TcpStream, word: &[u8]) {
    stream.write_all(word).await.unwrap();
    let mut echo = vec![0; word.len()];
    timeout(LONG, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(echo, word);
}

#[tokio::test]
async fn the_kernel_path_does_not_notice_that_the_worker_is_killed() {
    let _turn = turn().await;
    let Some(cluster) = cluster_with_processes().await else { return };
    let (tcp, download, udp) = (free_port(), free_port(), free_port());
    let ports = format!("{tcp}:{ECHO} {download}:{DOWNLOAD} {udp}:{DATAGRAM_ECHO}/udp");
    cluster.open_in(Placement::Host, &ports).await;
    assert_eq!(cluster.mapping(tcp).await["datapath"], "kernel");
    let (mut connections, datagrams) = (Connections::start(local(tcp)), Datagrams::start(local(udp)).await);
    let mut open = TcpStream::connect(local(tcp)).await.unwrap();
    say(&mut open, b"before").await;
    let length = 32 << 20;
    let mut download = Download::start(local(download), length).await;
    download.reaches(1).await;
    connections.works().await;
    datagrams.works().await;
    for _ in 0..ROUNDS {
        kill(cluster.worker().await).await;
        connections.works().await;
        datagrams.works().await;
        say(&mut open, b"while there is no worker, or another one").await;
    }
    assert!(download.received() < length, "the download was over too early to show anything");
    assert_eq!(download.finish().await, length);
    let (connections, datagrams) = tokio::join!(connections.stop(), datagrams.stop());
    println!(
        "worker killed, kernel path: {} of {} connections failed, {} of {} datagrams were lost",
        connections.failures().len(),
        connections.0.len(),
        datagrams.lost().len(),
        datagrams.sent(),
    );
    assert!(connections.failures().is_empty(), "{:?}", connections.failures());
    assert!(datagrams.lost().is_empty(), "{:?}", datagrams.lost());
}
