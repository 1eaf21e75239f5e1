//! A process that has run out of file descriptors. Alone in its process, for that reason.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test, and its helpers")]

mod support;

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use portgate_relay::Limits;
use rustix::process::{Resource, getrlimit, setrlimit};
use support::tcp::{Pattern, Server, expect, expect_reset};
use support::udp::{End, client as udp_client};
use support::{Stage, soon};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// More than all buffers on the way hold.
const BULK: usize = 24 << 20;

/// Takes all file descriptors that are left, but a few of `spare`.
fn exhaust(spare: usize) -> Vec<File> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(200);
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    files.truncate(files.len() - spare);
    files
}

async fn connect(socket: TcpSocket, to: SocketAddr) -> TcpStream {
    soon(socket.connect(to)).await.unwrap()
}

#[tokio::test]
async fn listeners_outlive_a_shortage_of_file_descriptors() {
    // Under this limit, only the decision that a shortage is not the backend's fault ends a dial, and never the time.
    let mut stage = Stage::with(Limits { connect_timeout: Duration::from_hours(1), ..Limits::default() });
    let (server, udp_server) = (Server::start().await, End::start().await);
    let (door, udp_door) = (stage.tcp().to(&[server.address()]), stage.udp().to(&[udp_server.address()]));
    let (early, late) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    let udp_client = udp_client(&udp_door).await;
    let (mut steady, mut far) = server.connected(&door).await;

    // Nothing is left to accept with, nor to open a session.
    let mut files = exhaust(0);
    let mut early = connect(early, door.address).await;
    let counters = stage.counted(&door, |counters| counters.last_error.is_some()).await;
    assert!(counters.last_error.unwrap().message.starts_with("cannot accept connections for now: Too many open files"));
    udp_client.send(b"lost").await;
    let counters = stage.counted(&udp_door, |counters| counters.datagrams_dropped == 1).await;
    assert!(counters.last_error.unwrap().message.contains("Too many open files"));

    // Nor is there a pipe for open connections, which go on without.
    let bulk = Pattern::new(4);
    let read_late = async {
        stage.stalled(&door).await;
        bulk.expect(&mut far, BULK).await;
    };
    tokio::join!(bulk.send(&mut steady, BULK), read_late);

    // One is left: enough to accept with, but not to dial.
    files.pop();
    expect_reset(&mut early).await;
    let counters = stage.counted(&door, |counters| counters.connections_failed == 1).await;
    assert!(counters.last_error.unwrap().message.contains("Too many open files"));

    drop(files);
    let mut late = connect(late, door.address).await;
    late.write_all(b"hello").await.unwrap();
    expect(&mut server.accept().await, b"hello").await;
    udp_client.send(b"hello").await;
    udp_server.expect(b"hello").await;
}
