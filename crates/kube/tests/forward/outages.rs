//! A server or a pod that goes away.

use std::time::Duration;

use bytes::Bytes;
use portgate_core::port::Port;
use portgate_double::Fault;
use portgate_double::object::pod as pod_object;
use portgate_kube::error::Error as ApiError;
use portgate_kube::forward::{ForwardError, PodStream, StreamError};

use crate::lab::{Lab, named, pod, say, soon};
use crate::pod::{echo, flood};

#[tokio::test]
async fn with_a_pod_its_streams_end_and_new_ones_fail_at_once_and_other_pods_are_not_concerned() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let other = named("other");
    lab.double.apply(pod_object("other", "backend").on("node", "172.18.0.2")).await.unwrap();
    lab.serve_in(&other, 7, echo).await;
    let PodStream { mut sender, mut receiver, verdict } = lab.open(7).await;
    sender.send(Bytes::from_static(b"ping")).await.unwrap();
    assert_eq!(soon(receiver.next()).await.unwrap().unwrap(), "ping");
    let open = soon(lab.forwarder.open(&other, Port::new(7).unwrap())).await.unwrap();

    let kill = Fault::KillPod { namespace: pod().namespace, pod: pod().name };
    lab.double.fault(kill).await.unwrap();
    assert!(matches!(soon(receiver.next()).await, Err(StreamError::Lost(_))));
    assert_eq!(soon(verdict.wait()).await, None);
    assert!(matches!(sender.send(Bytes::from_static(b"ping")).await, Err(StreamError::Lost(_))));
    let error = lab.try_open(7).await.unwrap_err();
    assert!(matches!(error, ForwardError::NoPod { .. }), "{error:?}");
    assert_eq!(say(open, Bytes::from_static(b"still")).await, b"still");
}

#[tokio::test]
async fn a_server_that_is_back_on_the_same_port_is_used_again() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    lab.ping().await;
    let mut open = lab.open(7).await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    lab.double.fault(Fault::KillConnections).await.unwrap();
    assert!(matches!(soon(open.receiver.next()).await, Err(StreamError::Lost(_))));
    for _ in 0..3 {
        let error = lab.try_open(7).await.unwrap_err();
        let ForwardError::Api(cause) = &error else { panic!("{error:?}") };
        assert!(matches!(**cause, ApiError::Unreachable { .. }) && !error.is_final(), "{error:?}");
    }
    lab.double.fault(Fault::AcceptConnections).await.unwrap();
    lab.ping().await;
}

#[tokio::test]
async fn a_server_that_restarts_is_used_again() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let mut open = lab.open(7).await;
    lab.double.fault(Fault::Restart { after: Duration::from_millis(200) }).await.unwrap();
    assert!(matches!(soon(open.receiver.next()).await, Err(StreamError::Lost(_))));
    soon(async { while lab.forwarder.open(&pod(), Port::new(7).unwrap()).await.is_err() {} }).await;
    lab.ping().await;
}

#[tokio::test]
async fn a_session_that_was_killed_is_not_used_again() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    for _ in 0..20 {
        let mut open = lab.open(7).await;
        lab.double.fault(Fault::KillPortForwards).await.unwrap();
        assert!(matches!(soon(open.receiver.next()).await, Err(StreamError::Lost(_))));
        lab.ping().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be_and_not_for_ever() {
    let lab = Lab::new().await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    let error = lab.try_open(7).await.unwrap_err();
    assert!(!error.is_final());
    assert!(error.to_string().contains("cannot be reached"), "{error}");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn an_opening_that_is_dropped_leaves_a_session_that_serves_the_next() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    lab.serve(19, flood).await;
    lab.double.fault(Fault::Delay { by: Duration::from_millis(300) }).await.unwrap();
    let port = Port::new(19).unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(20), lab.forwarder.open(&pod(), port)).await;
    assert!(dropped.is_err());
    lab.until(|counters| counters.sessions == 1).await;
    lab.ping().await;
    let counters = lab.counters().await;
    assert_eq!(counters.open_sessions as u64, counters.sessions, "none was closed");
    assert_eq!(counters.streams, 1);
}
