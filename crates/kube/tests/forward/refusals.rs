//! Streams that do not come about.

use bytes::Bytes;
use portgate_core::port::Port;
use portgate_double::object::pod as pod_object;
use portgate_double::{Authentication, Config, Failure, Fault, Requests, Resource, Transport, Transports, Verb};
use portgate_kube::error::Error as ApiError;
use portgate_kube::forward::{ForwardError, PodStream};

use crate::lab::{Lab, all, named, say, soon};
use crate::pod::echo;

#[tokio::test]
async fn a_port_where_nobody_listens_fails_alone_and_in_the_pods_own_words() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let open = lab.open(7).await;
    let PodStream { sender, mut receiver, verdict } = lab.open(1234).await;
    assert_eq!(all(&mut receiver).await, b"");
    let reason = soon(verdict.wait()).await.unwrap();
    assert!(reason.starts_with("error forwarding port 1234 to pod "), "{reason}");
    assert!(reason.contains("connection refused"), "{reason}");
    drop((sender, receiver));
    assert_eq!(say(open, Bytes::from_static(b"still")).await, b"still");
    lab.ping().await;
    assert_eq!(lab.counters().await.sessions, 2);
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let lab = Lab::new().await;
    lab.double.fault(Fault::Forbid { requests: Requests::to(Verb::Create, Resource::PortForward) }).await.unwrap();
    let error = lab.try_open(7).await.unwrap_err();
    assert!(error.is_final());
    assert!(matches!(&error, ForwardError::Api(error) if matches!(**error, ApiError::Forbidden { .. })), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("cannot create pods/portforward in namespace backend: the API server "), "{text}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("--verb=create,get --resource=pods/portforward -n backend"), "{hint}");
    lab.double.fault(Fault::Mend).await.unwrap();
    lab.open(7).await;
}

#[tokio::test]
async fn a_pod_that_does_not_exist_is_said_at_once() {
    let lab = Lab::new().await;
    let error = soon(lab.forwarder.open(&named("gone"), Port::new(7).unwrap())).await.unwrap_err();
    assert!(matches!(&error, ForwardError::NoPod { pod } if *pod == named("gone")), "{error:?}");
    assert!(!error.is_final(), "another pod may do");
    assert_eq!(error.to_string(), "there is no pod gone.backend");
}

#[tokio::test]
async fn a_pod_that_has_no_node_yet_is_not_running() {
    let lab = Lab::new().await;
    let mut object = serde_json::Value::from(pod_object("new", "backend"));
    object["status"]["phase"] = "Pending".into();
    lab.double.apply(object).await.unwrap();
    let error = soon(lab.forwarder.open(&named("new"), Port::new(7).unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "pod new.backend is not running: it is Pending");
    assert_eq!(error.hint().as_deref(), Some("`kubectl describe pod new -n backend` shows why"));
    assert!(!error.is_final());
}

#[tokio::test]
async fn a_server_that_fails_is_quoted_and_may_be_tried_again() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let requests = Requests::to(Verb::Create, Resource::PortForward);
    for failure in [Failure::InternalError, Failure::Unavailable, Failure::TooManyRequests] {
        lab.double.fault(Fault::Answer { requests: requests.clone(), failure, times: Some(1) }).await.unwrap();
        let error = lab.try_open(7).await.unwrap_err();
        assert!(matches!(&error, ForwardError::Api(_)) && !error.is_final(), "{error:?}");
    }
    lab.ping().await;
}

#[tokio::test]
async fn a_server_that_fails_for_a_pod_that_has_ended_says_so() {
    let lab = Lab::new().await;
    let mut object = serde_json::Value::from(pod_object("done", "backend").on("node", "172.18.0.2"));
    object["status"]["phase"] = "Succeeded".into();
    lab.double.apply(object).await.unwrap();
    let requests = Requests::to(Verb::Create, Resource::PortForward);
    lab.double.fault(Fault::Answer { requests, failure: Failure::InternalError, times: None }).await.unwrap();
    let error = soon(lab.forwarder.open(&named("done"), Port::new(7).unwrap())).await.unwrap_err();
    assert_eq!(error.to_string(), "pod done.backend is not running: it is Succeeded");
}

#[tokio::test]
async fn credentials_that_were_replaced_are_read_again() {
    let authentication = Authentication { certificate: false, token: Some("old".to_owned()), anonymous: false };
    let mut lab = Lab::with(Config { authentication, ..Config::default() }).await;
    lab.serve(7, echo).await;
    lab.ping().await;
    lab.forwarder.retain(&[].into());
    lab.double.fault(Fault::Token { token: Some("new".to_owned()) }).await.unwrap();
    let error = lab.try_open(7).await.unwrap_err();
    assert!(error.is_final(), "{error:?}");
    lab.write_kubeconfig().await;
    lab.ping().await;
}

#[tokio::test]
async fn a_server_that_takes_no_way_is_told_with_all_that_were_tried() {
    let refused =
        Transports { tunnel: Transport::BadRequest, spdy: Transport::Stripped, channels: Transport::Forbidden };
    let lab = Lab::with(Config { transports: refused, ..Config::default() }).await;
    let error = lab.try_open(7).await.unwrap_err();
    let ForwardError::Refused { refusals, .. } = &error else { panic!("{error:?}") };
    assert_eq!(refusals.iter().map(|refusal| refusal.code).collect::<Vec<_>>(), [400, 400, 403]);
    assert!(error.is_final());
    let text = error.to_string();
    assert!(text.contains("SPDY was answered with 400 Upgrade request required; SPDY in a WebSocket was"), "{text}");
}
