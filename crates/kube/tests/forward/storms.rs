//! Many connections at once.

use std::sync::Arc;

use bytes::Bytes;
use portgate_core::port::Port;
use portgate_kube::forward::{Forwarder, PodStream};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinSet;

use crate::lab::{Lab, pod, say, soon};
use crate::pod::{content, echo, flood};

async fn open(forwarder: &Forwarder, port: u16) -> PodStream {
    soon(forwarder.open(&pod(), Port::new(port).unwrap())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_connections_at_once_are_all_served() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let all_open = Arc::new(Barrier::new(500));
    let mut connections = JoinSet::new();
    for number in 0..500 {
        let (forwarder, all_open) = (lab.forwarder.clone(), Arc::clone(&all_open));
        connections.spawn(async move {
            let sent = content(number, 100_000);
            let stream = open(&forwarder, 7).await;
            soon(all_open.wait()).await;
            assert!(say(stream, sent.clone()).await == sent, "the content of {number} differs");
        });
    }
    soon(connections.join_all()).await;
    let counters = lab.counters().await;
    assert_eq!((counters.streams, counters.sessions), (500, 400));
    lab.until(|counters| counters.open_sessions <= 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connections_that_are_reset_half_way_harm_no_other() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    lab.serve(19, flood).await;
    let mut others = JoinSet::new();
    for number in 0..20 {
        let forwarder = lab.forwarder.clone();
        others.spawn(async move {
            for round in 0..5 {
                let sent = content(number * 5 + round, 1_000_000);
                let stream = open(&forwarder, 7).await;
                assert!(say(stream, sent.clone()).await == sent, "the content of {number} differs");
            }
        });
    }
    let at_once = Arc::new(Semaphore::new(50));
    let mut storm = JoinSet::new();
    for number in 0..1000 {
        let (forwarder, at_once) = (lab.forwarder.clone(), Arc::clone(&at_once));
        storm.spawn(async move {
            let _turn = at_once.acquire().await;
            let mut stream = open(&forwarder, if number % 2 == 0 { 7 } else { 19 }).await;
            stream.sender.send(Bytes::from(vec![7; 10_000])).await.unwrap();
            soon(stream.receiver.next()).await.unwrap().unwrap();
        });
    }
    soon(storm.join_all()).await;
    soon(others.join_all()).await;
    lab.until(|counters| counters.open_sessions <= 8).await;
}
