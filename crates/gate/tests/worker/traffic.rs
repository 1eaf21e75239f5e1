//! What goes through a worker.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};
use portgate_gate::Limits;
use portgate_gate::worker::{Refused, WorkerEvent, WorkerSettings};
use portgate_relay::{Bound, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{
    Stage, allow_many_files, door, echo, echoed, echoed_udp, end_of, expect_reset, greeted, greeter, nodes, refusing,
    settings, soon, started_by, udp_echo,
};

#[tokio::test]
async fn bytes_and_datagrams_go_through_the_worker() {
    let mut stage = Stage::new().await;
    let (door, udp_door) = (stage.tcp(&[echo().await]), stage.udp(&[udp_echo().await]));
    let _open = stage.meanwhile(echoed(door.address)).await;
    stage.meanwhile(echoed_udp(udp_door.address)).await;
    let (one, twelve) = ((1, 1), (12, 12));
    stage.counted(&door, |it| (it.connections_open, it.connections_total) == one).await;
    stage.counted(&door, |it| (it.bytes_in, it.bytes_out) == twelve).await;
    stage.counted(&udp_door, |it| (it.datagrams_in, it.datagrams_out) == one).await;
    stage.counted(&udp_door, |it| (it.sessions_open, it.sessions_total) == one).await;
}

#[tokio::test]
async fn a_route_leads_new_connections_elsewhere() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[greeter("one").await]);
    stage.meanwhile(greeted(door.address, "one")).await.unwrap();
    stage.route(&door, &[greeter("two").await]);
    assert!(stage.worker.settle().await.is_empty());
    stage.meanwhile(greeted(door.address, "two")).await.unwrap();
}

#[tokio::test]
async fn closing_a_mapping_resets_its_connections_and_no_others() {
    let mut stage = Stage::new().await;
    let backend = echo().await;
    let (door, other) = (stage.tcp(&[backend]), stage.tcp(&[backend]));
    let mut connection = stage.meanwhile(echoed(door.address)).await;
    let mut other_connection = stage.meanwhile(echoed(other.address)).await;
    soon(stage.worker.close(std::slice::from_ref(&door.local))).await;
    expect_reset(&mut connection).await;
    other_connection.write_all(b"still here").await.unwrap();
    let mut received = [0; 10];
    soon(other_connection.read_exact(&mut received)).await.unwrap();
    assert_eq!(soon(stage.worker.counters()).await.into_keys().collect::<Vec<_>>(), [other.local]);
    assert_eq!(stage.events, []);
}

#[tokio::test]
async fn what_is_open_cannot_be_opened() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[]);
    let error = stage.worker.open(door.local, Vec::new(), Ok(Vec::new())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
}

#[tokio::test]
async fn a_mapping_that_the_worker_cannot_take_is_refused_and_closed() {
    const SOCKETS: usize = 20;
    let mut stage = Stage::with(started_by("ulimit -n 24; exec \"$0\"")).await;
    let backend = echo().await;
    let door = stage.tcp(&[backend]);
    let local = Local { port: Port::new(1).unwrap(), ..door.local.clone() };
    let sockets: Vec<Bound> = (0..SOCKETS).map(|_| crate::stage::door(Protocol::Tcp).1).collect();
    let address = sockets[0].address().unwrap();
    stage.worker.open(local.clone(), sockets, Ok(nodes(&[backend]))).unwrap();
    let message = "Too many open files (os error 24)".to_owned();
    assert_eq!(soon(stage.worker.settle()).await, [Refused { local: local.clone(), message: message.clone() }]);
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    stage.meanwhile(echoed(door.address)).await;

    // Where nobody asks, it is an event.
    let sockets = (0..SOCKETS).map(|_| crate::stage::door(Protocol::Tcp).1).collect();
    stage.worker.open(local.clone(), sockets, Ok(Vec::new())).unwrap();
    assert_eq!(stage.event().await, WorkerEvent::Refused(Refused { local, message }));
}

#[tokio::test]
async fn a_connection_that_every_backend_refuses_is_reset_at_once() {
    let limits = Limits { connect_timeout: Duration::from_hours(1), ..Limits::default() };
    let mut stage = Stage::with(WorkerSettings { limits, ..settings() }).await;
    let door = stage.tcp(&[refusing().await, refusing().await]);
    let reset = async { expect_reset(&mut TcpStream::connect(door.address).await.unwrap()).await };
    stage.meanwhile(reset).await;
}

#[tokio::test]
async fn draining_lets_a_transfer_finish_and_ends_the_process() {
    const BULK: usize = 24 << 20;
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[backend.local_addr().unwrap()]);
    let connected = async { tokio::join!(TcpStream::connect(door.address), backend.accept()) };
    let (near, far) = stage.meanwhile(connected).await;
    let (mut near, (mut far, _)) = (near.unwrap(), far.unwrap());
    // Whoever comes now finds no backend, and does not delay the end.
    drop(backend);
    let sending = tokio::spawn(async move {
        near.write_all(&vec![7; BULK]).await.unwrap();
        near.shutdown().await.unwrap();
        near.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let mut received = vec![0; BULK];
    far.read_exact(&mut received[..1]).await.unwrap();

    let ended = end_of(stage.pid());
    let draining = tokio::spawn(stage.worker.drain());
    // It listens no more, and carries on what it has.
    soon(async { while TcpStream::connect(door.address).await.is_ok() {} }).await;
    soon(far.read_exact(&mut received[1..])).await.unwrap();
    assert_eq!(soon(far.read(&mut [0])).await.unwrap(), 0);
    drop(far);
    soon(sending).await.unwrap();
    soon(draining).await.unwrap();
    ended.await;
}

#[tokio::test]
async fn a_connection_that_does_not_end_is_cut() {
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let mut stage = Stage::with(WorkerSettings { limits, ..settings() }).await;
    let door = stage.tcp(&[echo().await]);
    let mut connection = stage.meanwhile(echoed(door.address)).await;
    let ended = end_of(stage.pid());
    soon(stage.worker.drain()).await;
    expect_reset(&mut connection).await;
    ended.await;
}

#[tokio::test]
async fn a_thousand_mappings_are_opened_at_once() {
    const MAPPINGS: usize = 1000;
    allow_many_files();
    let mut stage = Stage::new().await;
    let (backend, udp_backend) = (echo().await, udp_echo().await);
    let mappings: Vec<(Local, Vec<Bound>)> = (0..MAPPINGS).map(mapping_with_two_sockets).collect();
    let locals: Vec<Local> = mappings.iter().map(|(local, _)| local.clone()).collect();

    let start = Instant::now();
    for (local, sockets) in mappings {
        let backends = nodes(&[if local.protocol == Protocol::Tcp { backend } else { udp_backend }]);
        stage.worker.open(local, sockets, Ok(backends)).unwrap();
    }
    let queued = start.elapsed();
    assert_eq!(soon(stage.worker.settle()).await, []);
    println!("{MAPPINGS} mappings with two sockets each: queued after {queued:?}, open after {:?}", start.elapsed());
    all_echo(&mut stage, &locals).await;

    let start = Instant::now();
    let counters = soon(stage.worker.counters()).await;
    println!("their counters: {:?}", start.elapsed());
    assert_eq!(counters.len(), MAPPINGS);
    assert!(counters.values().all(|counters| counters.connections_total + counters.sessions_total == 2));

    let start = Instant::now();
    stage.kill();
    assert!(matches!(stage.event().await, WorkerEvent::Replaced { .. }));
    assert_eq!(soon(stage.worker.settle()).await, []);
    println!("a new worker has them after {:?}", start.elapsed());
    all_echo(&mut stage, &locals).await;

    let start = Instant::now();
    soon(stage.worker.close(&locals)).await;
    println!("closed after {:?}", start.elapsed());
    assert!(soon(stage.worker.counters()).await.is_empty());
}

/// On two addresses of loopback, with the port that the kernel chose for the first. TCP and UDP take turns.
fn mapping_with_two_sockets(index: usize) -> (Local, Vec<Bound>) {
    let protocol = if index.is_multiple_of(2) { Protocol::Tcp } else { Protocol::Udp };
    loop {
        let (door, first) = door(protocol);
        let Ok(second) = bind(SocketAddr::from(([127, 0, 0, 2], door.address.port())), protocol) else { continue };
        let addresses = HostAddresses::try_from(vec![door.address.ip(), second.address().unwrap().ip()]).unwrap();
        return (Local { addresses, ..door.local }, vec![first, second]);
    }
}

async fn all_echo(stage: &mut Stage, locals: &[Local]) {
    let all = async {
        for local in locals {
            for address in local.sockets() {
                match local.protocol {
                    Protocol::Tcp => drop(echoed(address).await),
                    Protocol::Udp => echoed_udp(address).await,
                }
            }
        }
    };
    stage.meanwhile(all).await;
}
