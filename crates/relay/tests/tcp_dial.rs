//! How a connection finds its backend.

mod support;

use std::time::Duration;

use portgate_relay::Limits;
use support::tcp::{Server, Silent, client, echo, exchange, expect_reset, refusing};
use support::{Stage, soon};

/// Limits under which only a decision ends a dial, and never the time.
fn patient() -> Limits {
    Limits { connect_timeout: Duration::from_hours(1), ..Limits::default() }
}

#[tokio::test]
async fn a_refused_backend_is_followed_by_the_next() {
    let mut stage = Stage::with(patient());
    let door = stage.tcp().to(&[refusing().await, echo().await]);
    for _ in 0..4 {
        exchange(&mut client(&door).await, b"hello").await;
    }
    let counters = stage.counters(&door);
    assert_eq!((counters.connections_total, counters.connections_failed), (4, 0));
    soon(stage.demand.until_failed()).await;
}

#[tokio::test]
async fn a_silent_backend_is_raced_by_the_next() {
    let mut stage = Stage::with(patient());
    let silent = Silent::start();
    let door = stage.tcp().to(&[silent.address(), echo().await]);
    exchange(&mut client(&door).await, b"hello").await;
}

#[tokio::test]
async fn a_client_is_reset_when_all_backends_refuse_and_a_resolution_finds_no_other() {
    let mut stage = Stage::with(patient());
    let backend = refusing().await;
    let door = stage.tcp().to(&[backend]);
    let mut client = client(&door).await;
    stage.resolve(&door, &[backend]).await;
    expect_reset(&mut client).await;
    let counters = stage.counted(&door, |counters| counters.connections_failed == 1).await;
    assert_eq!((counters.connections_total, counters.connections_open), (0, 0));
    let message = counters.last_error.unwrap().message;
    let expected = format!("node-{} ({backend}): Connection refused", backend.port());
    assert!(message.starts_with(&expected), "{message}");
}

#[tokio::test]
async fn a_refused_dial_goes_to_the_backend_that_a_resolution_finds() {
    let mut stage = Stage::with(patient());
    let door = stage.tcp().to(&[refusing().await]);
    let mut client = client(&door).await;
    stage.resolve(&door, &[echo().await]).await;
    exchange(&mut client, b"hello").await;
}

#[tokio::test]
async fn a_dial_without_a_backend_goes_to_the_one_that_a_resolution_finds() {
    let mut stage = Stage::with(patient());
    let door = stage.tcp().without_backend();
    let mut client = client(&door).await;
    stage.resolve(&door, &[echo().await]).await;
    exchange(&mut client, b"hello").await;
}

#[tokio::test]
async fn a_dial_that_waits_for_an_answer_goes_to_the_backend_that_a_resolution_finds() {
    let mut stage = Stage::with(patient());
    let silent = Silent::start();
    let door = stage.tcp().to(&[silent.address()]);
    let mut client = client(&door).await;
    // The first resolution after a node's restart may still see the old address.
    stage.resolve(&door, &[silent.address()]).await;
    stage.resolve(&door, &[echo().await]).await;
    exchange(&mut client, b"hello").await;
}

#[tokio::test]
async fn a_client_is_reset_when_no_backend_answers_in_time() {
    let mut stage = Stage::with(Limits { connect_timeout: Duration::from_millis(150), ..Limits::default() });
    let silent = Silent::start();
    let door = stage.tcp().to(&[silent.address()]);
    expect_reset(&mut client(&door).await).await;
    let counters = stage.counted(&door, |counters| counters.connections_failed == 1).await;
    let expected = format!("node-{} ({}): no answer within 150ms", silent.address().port(), silent.address());
    assert_eq!(counters.last_error.unwrap().message, expected);
}

#[tokio::test]
async fn a_client_is_reset_when_the_cluster_is_stopped() {
    let mut stage = Stage::with(Limits { connect_timeout: Duration::from_millis(50), ..Limits::default() });
    let door = stage.tcp().without_backend();
    expect_reset(&mut client(&door).await).await;
    let counters = stage.counted(&door, |counters| counters.connections_failed == 1).await;
    assert_eq!(counters.last_error.unwrap().message, "cluster stopped");
}

#[tokio::test]
async fn a_new_route_leaves_open_connections_alone() {
    let mut stage = Stage::new();
    let (old, new) = (Server::start().await, Server::start().await);
    let door = stage.tcp().to(&[old.address()]);
    let (mut before, mut far_before) = old.connected(&door).await;
    stage.route(&door, &[new.address()]);
    let (mut after, mut far_after) = new.connected(&door).await;
    for (client, far) in [(&mut before, &mut far_before), (&mut after, &mut far_after)] {
        tokio::io::AsyncWriteExt::write_all(client, b"hello").await.unwrap();
        support::tcp::expect(far, b"hello").await;
    }
}

#[tokio::test]
async fn an_accepted_connection_raises_a_demand() {
    let mut stage = Stage::new();
    let door = stage.tcp().to(&[echo().await]);
    let _client = client(&door).await;
    assert_eq!(soon(stage.demand.next()).await.urgency, portgate_relay::Urgency::Used);
}
