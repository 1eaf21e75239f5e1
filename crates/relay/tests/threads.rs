//! The threads that carry traffic. Alone in its process: it counts the threads.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test, and its helper")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::udp::{client, echo};
use support::{Door, Stage, nodes, tcp};

/// The threads of this process that carry traffic.
fn threads() -> usize {
    let names =
        fs::read_dir("/proc/self/task").unwrap().map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
    names.filter(|name| name.as_ref().is_ok_and(|name| name.trim_end() == "relay")).count()
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "it should have happened by now");
        tokio::task::yield_now().await;
    }
}

/// Two mappings, each with a session.
async fn doors(stage: &mut Stage) -> [Door; 2] {
    let backend = echo().await;
    let doors = [stage.udp().to(&[backend]), stage.udp().to(&[backend])];
    for door in &doors {
        client(door).await.exchange(b"hello").await;
    }
    doors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_come_with_the_first_mapping_and_go_with_the_relay() {
    let processors = std::thread::available_parallelism().unwrap().get();
    let mut stage = Stage::new();
    assert_eq!(threads(), 0, "nobody needs them yet");
    let tcp_door = stage.tcp().to(&[tcp::echo().await]);
    tcp::exchange(&mut tcp::client(&tcp_door).await, b"hello").await;
    assert_eq!(threads(), processors);

    let [first, second] = doors(&mut stage).await;
    stage.relay.close(&first.local).await;
    let socket = first.bind_again().unwrap();
    client(&second).await.exchange(b"still here").await;
    stage.relay.open(first.local.clone(), vec![socket], Ok(nodes(&[echo().await]))).unwrap();
    client(&first).await.exchange(b"and again").await;
    assert_eq!(threads(), processors);

    stage.relay.drain().await;
    first.bind_again().unwrap();
    second.bind_again().unwrap();
    until(|| threads() == 0).await;

    let mut stage = Stage::new();
    let doors = doors(&mut stage).await;
    drop(stage);
    until(|| doors.iter().all(|door| door.bind_again().is_ok())).await;
    until(|| threads() == 0).await;
}
