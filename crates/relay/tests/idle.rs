//! What idle connections cost. Alone in its process: it counts the file descriptors.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test, and its helper")]

mod support;

use support::tcp::Server;
use support::{Stage, allow_many_files};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CONNECTIONS: usize = 1000;
/// More than a buffer, so that it goes through a pipe.
const BULK: usize = 1 << 20;

/// The pipes' ends among the file descriptors of this process.
fn pipe_ends() -> usize {
    let links =
        std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
}

#[tokio::test]
async fn idle_connections_hold_no_pipes() {
    allow_many_files();
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let before = pipe_ends();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(server.connected(&door).await);
    }
    for (client, far) in &mut connections {
        let bulk = vec![7; BULK];
        let mut received = vec![0; BULK];
        let (sent, read) = tokio::join!(client.write_all(&bulk), far.read_exact(&mut received));
        sent.unwrap();
        read.unwrap();
    }
    // One at a time was busy, and its pipes went on to the next.
    let spare = pipe_ends() - before;
    assert!((2..=4).contains(&spare), "{spare} ends of pipes for {CONNECTIONS} connections");
    assert_eq!(stage.counters(&door).connections_open, CONNECTIONS as u64);
}
