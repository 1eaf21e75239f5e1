//! Opening, closing and draining.

mod support;

use std::io::ErrorKind;
use std::time::Duration;

use portgate_relay::Limits;
use support::tcp::{Server, client, echo, exchange, expect, expect_reset, rest};
use support::{Stage, nodes, soon, udp};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

#[tokio::test]
async fn closing_a_mapping_resets_its_connections_and_no_others() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let (door, other_door) = (stage.tcp().to(&[server.address()]), stage.tcp().to(&[server.address()]));
    let (mut client, mut far) = server.connected(&door).await;
    let (mut other, mut other_far) = server.connected(&other_door).await;
    stage.relay.close(&door.local).await;
    expect_reset(&mut client).await;
    expect_reset(&mut far).await;
    other.write_all(b"still here").await.unwrap();
    expect(&mut other_far, b"still here").await;
    assert!(stage.relay.counters(&door.local).is_none());
}

#[tokio::test]
async fn a_closed_port_can_be_opened_again_at_once() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    // A connection that the near end closed first: the kernel remembers it for a minute (TIME_WAIT).
    let (mut past, far) = server.connected(&door).await;
    drop(far);
    assert_eq!(rest(&mut past).await.unwrap(), b"");
    drop(past);
    stage.counted(&door, |counters| counters.connections_total == 1 && counters.connections_open == 0).await;
    let _open = client(&door).await;
    stage.relay.close(&door.local).await;
    let refused = TcpStream::connect(door.address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let socket = door.bind_again().unwrap();
    stage.relay.open(door.local.clone(), vec![socket], Ok(nodes(&[echo().await]))).unwrap();
    exchange(&mut client(&door).await, b"hello").await;
}

#[tokio::test]
async fn closing_a_udp_mapping_frees_its_port_and_leaves_others_alone() {
    let mut stage = Stage::new();
    let backend = udp::echo().await;
    let (door, other_door) = (stage.udp().to(&[backend]), stage.udp().to(&[backend]));
    let (client, other) = (udp::client(&door).await, udp::client(&other_door).await);
    client.exchange(b"hello").await;
    other.exchange(b"hello").await;
    stage.relay.close(&door.local).await;
    door.bind_again().unwrap();
    other.exchange(b"still here").await;
    assert_eq!(stage.counters(&other_door).sessions_total, 1);
}

#[tokio::test]
async fn an_open_mapping_cannot_be_opened_twice() {
    let mut stage = Stage::new();
    let door = stage.tcp().to(&[echo().await]);
    let error = stage.relay.open(door.local.clone(), Vec::new(), Ok(nodes(&[]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    exchange(&mut client(&door).await, b"hello").await;
}

#[tokio::test]
async fn several_sockets_make_one_mapping() {
    let mut stage = Stage::new();
    let door = stage.tcp().to(&[echo().await]);
    stage.relay.close(&door.local).await;
    let sockets = ["127.0.0.1:0", "[::1]:0"]
        .map(|text| portgate_relay::bind(text.parse().unwrap(), portgate_core::port::Protocol::Tcp).unwrap());
    let addresses = [sockets[0].address().unwrap(), sockets[1].address().unwrap()];
    stage.relay.open(door.local.clone(), sockets.into(), Ok(nodes(&[echo().await]))).unwrap();
    for address in addresses {
        exchange(&mut TcpStream::connect(address).await.unwrap(), b"hello").await;
    }
    stage.counted(&door, |counters| counters.connections_total == 2 && counters.bytes_in == 10).await;
}

#[tokio::test]
async fn draining_waits_for_open_connections_and_accepts_no_new_ones() {
    let mut stage = Stage::with(Limits { drain: Duration::from_hours(1), ..Limits::default() });
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    let draining = tokio::spawn(stage.relay.drain());
    while TcpStream::connect(door.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    client.write_all(b"last words").await.unwrap();
    expect(&mut far, b"last words").await;
    drop(far);
    assert_eq!(rest(&mut client).await.unwrap(), b"");
    assert!(!draining.is_finished());
    drop(client);
    soon(draining).await.unwrap();
}

#[tokio::test]
async fn draining_resets_what_is_left_after_its_time() {
    let mut stage = Stage::with(Limits { drain: Duration::from_millis(1), ..Limits::default() });
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    soon(stage.relay.drain()).await;
    expect_reset(&mut client).await;
    expect_reset(&mut far).await;
}
