//! Datagrams, and the sessions that they make.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use portgate_core::status::Counters;
use portgate_relay::Limits;
use support::udp::{End, client, echo, echo_on};
use support::{Stage, allow_many_files};

#[tokio::test]
async fn an_echo_comes_back_and_is_counted() {
    let mut stage = Stage::new();
    let door = stage.udp().to(&[echo().await]);
    let client = client(&door).await;
    client.exchange(b"hello").await;
    client.exchange(b"again!").await;
    let expected = Counters {
        bytes_in: 11,
        bytes_out: 11,
        datagrams_in: 2,
        datagrams_out: 2,
        sessions_open: 1,
        sessions_total: 1,
        ..Counters::default()
    };
    assert_eq!(stage.counted(&door, |counters| counters.datagrams_out == 2).await, expected);
}

#[tokio::test]
async fn one_request_may_have_any_number_of_answers() {
    let mut stage = Stage::new();
    let server = End::start().await;
    let door = stage.udp().to(&[server.address()]);
    let client = client(&door).await;
    client.send(b"go").await;
    let relay = server.expect(b"go").await;
    for number in 0..100_u8 {
        server.send_to(&[number], relay).await;
        client.expect(&[number]).await;
    }
}

#[tokio::test]
async fn a_burst_keeps_its_boundaries_and_its_order() {
    let mut stage = Stage::new();
    let server = End::start().await;
    let door = stage.udp().to(&[server.address()]);
    let client = client(&door).await;
    client.send(b"first").await;
    let relay = server.expect(b"first").await;
    // Equal lengths may be joined on the way, and must be parted again; so may the shorter ones after them.
    let burst: Vec<Vec<u8>> = (0..80_u8).map(|number| vec![number; if number % 10 == 9 { 7 } else { 1000 }]).collect();
    for datagram in &burst {
        client.send(datagram).await;
    }
    for datagram in &burst {
        server.expect(datagram).await;
    }
    for datagram in &burst {
        server.send_to(datagram, relay).await;
    }
    for datagram in &burst {
        client.expect(datagram).await;
    }
    let counters = stage.counted(&door, |counters| counters.datagrams_out == 80).await;
    assert_eq!((counters.datagrams_in, counters.datagrams_dropped), (81, 0));
}

#[tokio::test]
async fn the_largest_and_the_empty_datagram_pass() {
    let mut stage = Stage::new();
    let door = stage.udp().to(&[echo().await]);
    let client = client(&door).await;
    for length in [65_507, 0, 1473, 1472, 9000] {
        client.exchange(&vec![7; length]).await;
    }
}

#[tokio::test]
async fn the_largest_datagram_passes_by_ipv6() {
    let mut stage = Stage::new();
    let door = stage.udp().on("::1").to(&[echo_on("[::1]:0".parse().unwrap()).await]);
    client(&door).await.exchange(&vec![7; 65_507]).await;
}

#[tokio::test]
async fn two_thousand_clients_get_their_own_answers() {
    const CLIENTS: usize = 2000;
    allow_many_files();
    let mut stage = Stage::new();
    let door = stage.udp().to(&[echo().await]);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(client(&door).await);
    }
    for round in 0..3_usize {
        // As many at once as the buffers of a socket hold.
        for group in clients.chunks(100) {
            for (number, client) in group.iter().enumerate() {
                client.send(format!("{round} {number} {}", client.address()).as_bytes()).await;
            }
            for (number, client) in group.iter().enumerate() {
                client.expect(format!("{round} {number} {}", client.address()).as_bytes()).await;
            }
        }
    }
    let counters = stage.counted(&door, |counters| counters.datagrams_out == 3 * CLIENTS as u64).await;
    assert_eq!((counters.sessions_open, counters.sessions_total), (CLIENTS as u64, CLIENTS as u64));
}

#[tokio::test]
async fn a_refusal_ends_the_session_and_the_next_datagram_finds_the_backend_again() {
    let mut stage = Stage::new();
    let server = End::start().await;
    let address = server.address();
    let door = stage.udp().to(&[address]);
    let client = client(&door).await;
    client.send(b"hello").await;
    server.expect(b"hello").await;
    drop(server);
    client.send(b"anybody there?").await;
    let counters = stage.counted(&door, |counters| counters.sessions_refused == 1).await;
    assert_eq!(counters.sessions_open, 0);
    let message = counters.last_error.unwrap().message;
    let expected = format!("node-{} ({address}): Connection refused", address.port());
    assert!(message.starts_with(&expected), "{message}");
    support::soon(stage.demand.until_failed()).await;
    echo_on(address).await;
    client.exchange(b"hello again").await;
    assert_eq!(stage.counters(&door).sessions_total, 2);
}

#[tokio::test]
async fn after_a_refusal_the_client_is_led_to_another_backend() {
    let mut stage = Stage::new();
    let (gone, here) = (End::start().await, echo().await);
    let gone_address = gone.address();
    let door = stage.udp().to(&[gone_address, here]);
    let client = client(&door).await;
    client.send(b"hello").await;
    gone.expect(b"hello").await;
    drop(gone);
    client.send(b"lost").await;
    stage.counted(&door, |counters| counters.sessions_refused == 1).await;
    client.exchange(b"hello again").await;
    for _ in 0..4 {
        support::udp::client(&door).await.exchange(b"hello").await;
    }
    assert_eq!(stage.counters(&door).sessions_refused, 1, "new sessions avoid a backend that has just failed");
}

#[tokio::test]
async fn a_refused_session_harms_no_other() {
    let mut stage = Stage::new();
    let gone = End::start().await;
    let gone_address = gone.address();
    let door = stage.udp().to(&[gone_address, echo().await]);
    let (first, second) = (client(&door).await, client(&door).await);
    first.send(b"hello").await;
    gone.expect(b"hello").await;
    second.exchange(b"hello").await;
    drop(gone);
    first.send(b"lost").await;
    stage.counted(&door, |counters| counters.sessions_refused == 1).await;
    second.exchange(b"still here").await;
    assert_eq!(stage.counters(&door).sessions_total, 2);
}

#[tokio::test]
async fn datagrams_are_dropped_and_counted_while_the_cluster_is_stopped() {
    let mut stage = Stage::new();
    let door = stage.udp().without_backend();
    let client = client(&door).await;
    client.send(b"hello").await;
    let counters = stage.counted(&door, |counters| counters.datagrams_dropped == 1).await;
    assert_eq!((counters.datagrams_in, counters.sessions_total), (0, 0));
    assert_eq!(counters.last_error.unwrap().message, "cluster stopped");
    stage.route(&door, &[echo().await]);
    client.exchange(b"hello").await;
}

#[tokio::test]
async fn the_longest_idle_session_makes_room() {
    let mut stage = Stage::with(Limits { udp_sessions: 2, ..Limits::default() });
    let server = End::start().await;
    let door = stage.udp().to(&[server.address()]);
    let (first, second, third) = (client(&door).await, client(&door).await, client(&door).await);
    first.send(b"1").await;
    let first_relayed = server.expect(b"1").await;
    second.send(b"2").await;
    let second_relayed = server.expect(b"2").await;
    first.send(b"1 again").await;
    assert_eq!(server.expect(b"1 again").await, first_relayed);
    third.send(b"3").await;
    server.expect(b"3").await;
    let counters = stage.counted(&door, |counters| counters.sessions_evicted == 1).await;
    assert_eq!((counters.sessions_open, counters.sessions_total), (2, 3));
    first.send(b"the first stays").await;
    assert_eq!(server.expect(b"the first stays").await, first_relayed);
    second.send(b"the second is new").await;
    assert_ne!(server.expect(b"the second is new").await, second_relayed);
}

#[tokio::test]
async fn an_idle_session_ends_after_its_time_and_an_active_one_does_not() {
    let mut stage = Stage::with(Limits { udp_idle: Duration::from_mins(2), ..Limits::default() });
    let door = stage.udp().to(&[echo().await]);
    let (idle, active) = (client(&door).await, client(&door).await);
    idle.exchange(b"hello").await;
    active.exchange(b"hello").await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(100)).await;
    // Not by `exchange`: a paused clock runs ahead while a test waits for a socket.
    active.send(b"still here").await;
    stage.counted(&door, |counters| counters.datagrams_out == 3).await;
    tokio::time::advance(Duration::from_secs(19)).await;
    stage.counted(&door, |counters| counters.sessions_open == 2).await;
    tokio::time::advance(Duration::from_secs(2)).await;
    stage.counted(&door, |counters| counters.sessions_open == 1).await;
    tokio::time::resume();
    active.expect(b"still here").await;
    active.exchange(b"the same session").await;
    assert_eq!(stage.counters(&door).sessions_total, 2);
}

#[tokio::test]
async fn answers_alone_keep_a_session_open() {
    let mut stage = Stage::with(Limits { udp_idle: Duration::from_mins(2), ..Limits::default() });
    let server = End::start().await;
    let door = stage.udp().to(&[server.address()]);
    let client = client(&door).await;
    client.send(b"subscribe").await;
    let relay = server.expect(b"subscribe").await;
    tokio::time::pause();
    for news in 1..=3 {
        tokio::time::advance(Duration::from_secs(100)).await;
        server.send_to(b"news", relay).await;
        stage.counted(&door, |counters| counters.datagrams_out == news).await;
    }
    assert_eq!(stage.counters(&door).sessions_open, 1);
}

#[tokio::test]
async fn a_new_route_moves_a_running_flow_and_leaves_others_alone() {
    let mut stage = Stage::new();
    let (old, kept, new) = (End::start().await, End::start().await, End::start().await);
    let door = stage.udp().to(&[old.address(), kept.address()]);
    let (moving, staying) = (client(&door).await, client(&door).await);
    moving.send(b"moving").await;
    old.expect(b"moving").await;
    staying.send(b"staying").await;
    let relayed = kept.expect(b"staying").await;
    stage.route(&door, &[new.address(), kept.address()]);
    moving.send(b"moved").await;
    let (_, from) = tokio::select! { got = new.receive() => got, got = kept.receive() => got };
    new.send_to(b"welcome", from).await;
    kept.send_to(b"welcome", from).await;
    moving.expect(b"welcome").await;
    staying.send(b"still here").await;
    assert_eq!(kept.expect(b"still here").await, relayed);
    assert_eq!(stage.counters(&door).sessions_total, 2);
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    let mut stage = Stage::new();
    let door = stage.udp().on("0.0.0.0").to(&[echo().await]);
    let client = End::start().await;
    for host in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]] {
        let asked = SocketAddr::from((host, door.address.port()));
        client.send_to(b"hello", asked).await;
        assert_eq!(client.expect(b"hello").await, asked);
    }
}
