//! How a worker's process starts, dies and is replaced.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_core::status::Counters;
use portgate_gate::worker::{Worker, WorkerEvent, WorkerSettings};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Signal, kill_process};
use tokio::io::AsyncReadExt;

use crate::stage::{Stage, echo, echoed, echoed_udp, end_of, greeted, greeter, settings, soon, started_by, udp_echo};

fn killed() -> WorkerEvent {
    WorkerEvent::Replaced { exit: "signal: 9 (SIGKILL)".to_owned() }
}

#[tokio::test]
async fn a_killed_worker_is_replaced_and_no_port_is_closed_meanwhile() {
    let mut stage = Stage::new().await;
    let (door, other) = (stage.tcp(&[echo().await]), stage.tcp(&[greeter("one").await]));
    let udp_door = stage.udp(&[udp_echo().await]);
    stage.route(&other, &[greeter("two").await]);
    let mut connection = stage.meanwhile(echoed(door.address)).await;
    stage.meanwhile(echoed_udp(udp_door.address)).await;

    let start = Instant::now();
    stage.kill();
    stage.meanwhile(echoed(door.address)).await;
    println!("from the kill to the first served connection: {:?}", start.elapsed());
    assert_eq!(stage.event().await, killed());
    assert_eq!(soon(connection.read(&mut [0])).await.unwrap(), 0, "the connection ended");
    stage.meanwhile(echoed_udp(udp_door.address)).await;
    stage.meanwhile(greeted(other.address, "two")).await.unwrap();
    assert_eq!(stage.events, []);
}

#[tokio::test]
async fn a_mapping_can_be_opened_and_closed_while_there_is_no_worker() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[echo().await]);
    stage.kill();
    // Nobody has noticed yet.
    soon(stage.worker.close(&[door.local])).await;
    let door = stage.tcp(&[echo().await]);
    assert_eq!(soon(stage.worker.settle()).await, []);
    assert_eq!(stage.worker.pid(), None);
    let other = stage.tcp(&[echo().await]);
    assert_eq!(stage.event().await, killed());
    stage.meanwhile(echoed(door.address)).await;
    stage.meanwhile(echoed(other.address)).await;
}

#[tokio::test]
async fn counters_survive_a_worker_and_what_was_open_does_not() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[echo().await]);
    let _open = stage.meanwhile(echoed(door.address)).await;
    let carried = |it: &Counters| (it.connections_open, it.connections_total, it.bytes_in);
    stage.counted(&door, |it| carried(it) == (1, 1, 12)).await;
    stage.kill();
    assert_eq!(carried(&stage.counters(&door).await), (0, 1, 12));
    assert_eq!(stage.event().await, killed());
    let _open = stage.meanwhile(echoed(door.address)).await;
    stage.counted(&door, |it| carried(it) == (1, 2, 24)).await;
}

#[tokio::test]
async fn a_worker_that_dies_at_once_is_tried_again_at_growing_intervals() {
    let directory = tempfile::tempdir().unwrap();
    let ill = directory.path().join("ill");
    let mut stage = Stage::with(started_by(&format!("test -e '{}' && exit 3; exec \"$0\"", ill.display()))).await;
    let door = stage.tcp(&[echo().await]);
    std::fs::write(&ill, "").unwrap();
    let start = Instant::now();
    stage.kill();
    assert_eq!(stage.event().await, killed());
    for _ in 0..4 {
        assert_eq!(stage.event().await, WorkerEvent::Replaced { exit: "exit status: 3".to_owned() });
    }
    assert!(start.elapsed() >= Duration::from_millis(10 + 20 + 40 + 80 + 160), "{:?}", start.elapsed());

    // Nothing of that disturbs the supervisor.
    soon(stage.worker.close(&[door.local])).await;
    let door = stage.tcp(&[echo().await]);
    assert_eq!(stage.counters(&door).await.connections_total, 0);
    std::fs::remove_file(&ill).unwrap();
    stage.meanwhile(echoed(door.address)).await;
}

#[tokio::test]
async fn a_worker_that_does_not_answer_is_replaced() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[echo().await]);
    stage.meanwhile(echoed(door.address)).await;
    let ended = end_of(stage.pid());
    kill_process(stage.pid(), Signal::STOP).unwrap();
    assert_eq!(stage.counters(&door).await.connections_total, 0, "it had not reported before");
    let exit = "it gave no answer within 5s".to_owned();
    assert_eq!(stage.event().await, WorkerEvent::Replaced { exit });
    ended.await;
    stage.meanwhile(echoed(door.address)).await;
}

#[tokio::test]
async fn a_worker_that_cannot_start_is_an_error() {
    let missing = WorkerSettings { program: PathBuf::from("/nowhere/portgate"), ..settings() };
    assert_eq!(Worker::start(missing, Arc::default()).await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    let other = WorkerSettings { program: PathBuf::from("/bin/false"), ..settings() };
    assert_eq!(
        soon(Worker::start(other, Arc::default())).await.unwrap_err().to_string(),
        "the worker ended: exit status: 1"
    );
}

#[tokio::test]
async fn a_dropped_supervisor_takes_the_worker_with_it() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[echo().await]);
    let mut connection = stage.meanwhile(echoed(door.address)).await;
    let ended = end_of(stage.pid());
    drop(stage);
    ended.await;
    assert_eq!(soon(connection.read(&mut [0])).await.unwrap(), 0, "the connection ended");
}

#[tokio::test]
async fn a_worker_ends_by_itself_when_its_socket_does() {
    let (near, far) = pair();
    let mut worker = tokio::process::Command::new(settings().program).stdin(Stdio::from(far)).spawn().unwrap();
    drop(near);
    assert!(soon(worker.wait()).await.unwrap().success());
}

#[tokio::test]
async fn a_worker_without_a_supervisor_says_so() {
    let mut command = tokio::process::Command::new(settings().program);
    let output = soon(command.stdin(Stdio::null()).output()).await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("Channel"));
}

fn pair() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}
