//! The ways that a port-forward is carried.

use bytes::Bytes;
use portgate_double::{Config, Fault, Transport, Transports};
use portgate_double::{Requests, Resource, Verb};
use portgate_kube::forward::PodStream;

use crate::lab::{Lab, all, say, soon};
use crate::pod::{content, echo, flood, greet};

/// How a transport is refused.
const REFUSALS: [Transport; 3] = [Transport::BadRequest, Transport::Forbidden, Transport::Stripped];

async fn lab(spdy: Transport, tunnel: Transport, channels: Transport) -> Lab {
    let mut lab = Lab::with(Config { transports: Transports { tunnel, spdy, channels }, ..Config::default() }).await;
    lab.serve(7, echo).await;
    lab.serve(19, flood).await;
    lab.serve(25, greet).await;
    lab
}

#[tokio::test]
async fn spdy_alone_is_enough() {
    let lab = lab(Transport::Served, Transport::BadRequest, Transport::BadRequest).await;
    let sent = content(1, 3_000_000);
    assert!(say(lab.open(7).await, sent.clone()).await == sent, "the content differs");
    assert_eq!(lab.counters().await.requests(Verb::Create, Resource::PortForward), 1);
    assert_eq!(lab.counters().await.requests(Verb::Get, Resource::PortForward), 0);
}

#[tokio::test]
async fn spdy_in_a_websocket_is_taken_where_spdy_is_refused_and_remembered() {
    for refused in REFUSALS {
        let lab = lab(refused, Transport::Served, Transport::BadRequest).await;
        let sent = content(2, 3_000_000);
        let streams = [lab.open(7).await, lab.open(7).await, lab.open(7).await];
        for stream in streams {
            assert!(say(stream, sent.clone()).await == sent, "the content differs");
        }
        let counters = lab.counters().await;
        assert_eq!(counters.requests(Verb::Create, Resource::PortForward), 1, "{refused:?}");
        assert_eq!(counters.requests(Verb::Get, Resource::PortForward), 3, "{refused:?}");
    }
}

#[tokio::test]
async fn what_was_remembered_is_no_longer_tried_alone_when_it_is_refused() {
    let lab = lab(Transport::BadRequest, Transport::Served, Transport::Served).await;
    lab.ping().await;
    lab.forwarder.retain(&[].into());
    let transports = Transports { tunnel: Transport::Forbidden, ..Transports::default() };
    lab.double.fault(Fault::Transports(transports)).await.unwrap();
    lab.ping().await;
    assert_eq!(lab.counters().await.sessions, 2);
}

#[tokio::test]
async fn a_websocket_for_each_connection_is_the_last_resort() {
    for refused in REFUSALS {
        let lab = lab(refused, refused, Transport::Served).await;
        let PodStream { mut sender, mut receiver, verdict } = lab.open(7).await;
        let sent = content(3, 3_000_000);
        let saying = async { soon(sender.send(sent.clone())).await.unwrap() };
        let hearing = async {
            let mut heard = Vec::new();
            while heard.len() < sent.len() {
                heard.extend_from_slice(&soon(receiver.next()).await.unwrap().unwrap());
            }
            heard
        };
        let ((), heard) = tokio::join!(saying, hearing);
        assert!(heard == sent, "the content differs");
        drop((sender, receiver));
        assert_eq!(soon(verdict.wait()).await, None);
        lab.until(|counters| counters.open_sessions == 0).await;
        let before = lab.counters().await.requests(Verb::Get, Resource::PortForward);
        let _other = lab.open(7).await;
        let after = lab.counters().await;
        assert_eq!(after.requests(Verb::Get, Resource::PortForward), before + 1, "it is remembered");
        assert_eq!(after.requests(Verb::Create, Resource::PortForward), 1);
    }
}

#[tokio::test]
async fn channels_quote_a_pod_that_refuses_and_end_with_it() {
    let lab = lab(Transport::BadRequest, Transport::BadRequest, Transport::Served).await;
    let mut stream = lab.open(1234).await;
    assert_eq!(all(&mut stream.receiver).await, b"");
    let reason = soon(stream.verdict.wait()).await.unwrap();
    assert!(reason.contains("connection refused"), "{reason}");
}

#[tokio::test]
async fn channels_that_have_finished_end_when_the_pod_is_silent() {
    let lab = lab(Transport::BadRequest, Transport::BadRequest, Transport::Served).await;
    let mut stream = lab.open(25).await;
    assert_eq!(soon(stream.receiver.next()).await.unwrap().unwrap(), "hello");
    stream.sender.send(Bytes::from_static(b"thanks")).await.unwrap();
    stream.sender.finish().await.unwrap();
    assert_eq!(all(&mut stream.receiver).await, b"");
    lab.until(|counters| counters.open_sessions == 0).await;
}

#[tokio::test]
async fn channels_that_are_not_read_make_the_pod_wait() {
    let lab = lab(Transport::BadRequest, Transport::BadRequest, Transport::Served).await;
    let mut stream = lab.open(19).await;
    for _ in 0..100 {
        soon(stream.receiver.next()).await.unwrap().unwrap();
    }
    drop(stream);
    lab.until(|counters| counters.open_sessions == 0).await;
}

#[tokio::test]
async fn a_right_that_is_missing_is_no_reason_to_try_another_way() {
    let lab = lab(Transport::Served, Transport::Served, Transport::Served).await;
    lab.double.fault(Fault::Forbid { requests: Requests::to(Verb::Create, Resource::PortForward) }).await.unwrap();
    lab.try_open(7).await.unwrap_err();
    let counters = lab.counters().await;
    assert_eq!(counters.requests(Verb::Create, Resource::PortForward), 1);
    assert_eq!(counters.requests(Verb::Get, Resource::PortForward), 0);
}
