//! Bytes through open connections.

mod support;

use portgate_core::status::Counters;
use support::tcp::{Pattern, Server, client, echo, exchange, expect, expect_reset, reset, rest};
use support::{Stage, soon};
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn an_echo_comes_back_and_is_counted() {
    let mut stage = Stage::new();
    let door = stage.tcp().to(&[echo().await]);
    let mut client = client(&door).await;
    exchange(&mut client, b"hello").await;
    let expected =
        Counters { connections_open: 1, connections_total: 1, bytes_in: 5, bytes_out: 5, ..Counters::default() };
    assert_eq!(stage.counted(&door, |counters| counters.bytes_out == 5).await, expected);
    drop(client);
    let expected = Counters { connections_open: 0, ..expected };
    assert_eq!(stage.counted(&door, |counters| counters.connections_open == 0).await, expected);
}

#[tokio::test]
async fn an_ipv6_door_nodes_an_ipv4_backend() {
    let mut stage = Stage::new();
    let door = stage.tcp().on("::1").to(&[echo().await]);
    exchange(&mut client(&door).await, b"hello").await;
}

#[tokio::test]
async fn the_server_may_speak_first() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    far.write_all(b"220 ready").await.unwrap();
    expect(&mut client, b"220 ready").await;
}

#[tokio::test]
async fn the_server_may_answer_after_the_client_has_ended() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut far).await.unwrap(), b"question");
    far.write_all(b"answer").await.unwrap();
    expect(&mut client, b"answer").await;
    drop(far);
    assert_eq!(rest(&mut client).await.unwrap(), b"");
}

#[tokio::test]
async fn the_client_may_go_on_after_the_server_has_ended() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    far.write_all(b"bye").await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(rest(&mut client).await.unwrap(), b"bye");
    client.write_all(b"wait").await.unwrap();
    expect(&mut far, b"wait").await;
    client.write_all(b", one more").await.unwrap();
    drop(client);
    assert_eq!(rest(&mut far).await.unwrap(), b", one more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_data_passes_unchanged_both_ways_at_once() {
    const LENGTH: usize = 64 << 20;
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (client, far) = server.connected(&door).await;
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut far_reads, mut far_writes) = far.into_split();
    let far = tokio::spawn(async move {
        let (question, answer) = (Pattern::new(1), Pattern::new(2));
        tokio::join!(question.expect(&mut far_reads, LENGTH), answer.send(&mut far_writes, LENGTH));
    });
    let (question, answer) = (Pattern::new(1), Pattern::new(2));
    tokio::join!(question.send(&mut client_writes, LENGTH), answer.expect(&mut client_reads, LENGTH));
    soon(far).await.unwrap();
    let counters = stage.counted(&door, |counters| counters.connections_open == 0).await;
    assert_eq!((counters.bytes_in, counters.bytes_out), (LENGTH as u64, LENGTH as u64));
}

#[tokio::test]
async fn bytes_wait_for_a_slow_reader_and_stop_nobody_else() {
    const LENGTH: usize = 24 << 20;
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut slow, mut far) = server.connected(&door).await;
    let sender = tokio::spawn(async move { Pattern::new(3).send(&mut far, LENGTH).await });
    stage.stalled(&door).await;
    let (mut quick, mut other) = server.connected(&door).await;
    other.write_all(b"me first").await.unwrap();
    expect(&mut quick, b"me first").await;
    assert!(!sender.is_finished(), "all of it fits into buffers: the test shows nothing");
    Pattern::new(3).expect(&mut slow, LENGTH).await;
}

#[tokio::test]
async fn a_reset_by_the_client_reaches_the_server() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (client, mut far) = server.connected(&door).await;
    reset(client);
    expect_reset(&mut far).await;
}

#[tokio::test]
async fn a_reset_by_the_server_reaches_its_client_and_no_other() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, far) = server.connected(&door).await;
    let (mut other, mut other_far) = server.connected(&door).await;
    reset(far);
    expect_reset(&mut client).await;
    other.write_all(b"still here").await.unwrap();
    expect(&mut other_far, b"still here").await;
    stage.counted(&door, |counters| counters.connections_open == 1).await;
}

#[tokio::test]
async fn what_a_server_says_before_it_resets_reaches_the_client() {
    let mut stage = Stage::new();
    let server = Server::start().await;
    let door = stage.tcp().to(&[server.address()]);
    let (mut client, mut far) = server.connected(&door).await;
    // The server closes with unread bytes, which makes its kernel send a reset behind the answer.
    client.write_all(&vec![0; 100_000]).await.unwrap();
    expect(&mut far, &[0; 1000]).await;
    far.write_all(b"413 too large").await.unwrap();
    drop(far);
    // The relay meets the reset when it passes this on, before it has read the answer.
    client.write_all(b"more").await.unwrap();
    expect(&mut client, b"413 too large").await;
    expect_reset(&mut client).await;
}
