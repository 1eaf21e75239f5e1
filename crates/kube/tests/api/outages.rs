//! A server that goes away, comes back, or comes back as another.

use std::fs;
use std::time::Duration;

use portgate_double::object::service;
use portgate_double::{Authentication, Config, Double, Failure, Fault, Kubeconfig, Requests, Resource, Verb};

use crate::lab::{Lab, key, ready, soon, until};

const ECHO: &str = "svc/echo.backend";

fn problem(objects: &portgate_core::kubernetes::Objects) -> &str {
    objects.problem.as_deref().unwrap_or_default()
}

#[tokio::test]
async fn what_is_known_stays_while_the_server_is_away_and_what_happened_is_told_when_it_is_back() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    lab.double.fault(Fault::KillConnections).await.unwrap();
    let away = until(&mut watch, |objects| objects.problem.is_some()).await;
    assert_eq!(ready(&away, ECHO).unwrap(), ["10.42.0.2"]);
    let problem = problem(&away);
    assert!(problem.contains(lab.access().server()) && problem.contains("Connection refused"), "{problem}");
    assert!(problem.contains("context k3d-double of ") && problem.contains(", since 20"), "{problem}");

    lab.double.apply(service("echo", "backend").port("tcp", 9999).node_port(31999)).await.unwrap();
    lab.double.fault(Fault::AcceptConnections).await.unwrap();
    let back = until(&mut watch, |objects| objects.problem.is_none()).await;
    assert_eq!(back.services[&key(ECHO)].ports[0].node_port.unwrap().number(), 31999);
}

#[tokio::test]
async fn a_server_that_restarts_is_followed_again() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    lab.double.fault(Fault::Restart { after: Duration::from_millis(300) }).await.unwrap();
    until(&mut watch, |objects| objects.problem.is_some()).await;
    until(&mut watch, |objects| objects.problem.is_none()).await;
    lab.double.delete(Resource::Services, "backend", "echo").await.unwrap();
    until(&mut watch, |objects| objects.services.is_empty()).await;
}

#[tokio::test]
async fn connections_that_break_are_no_problem_if_the_server_is_there() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    lab.double.fault(Fault::KillConnections).await.unwrap();
    lab.double.delete(Resource::Services, "backend", "echo").await.unwrap();
    let next = soon(watch.next()).await;
    assert!(next.services.is_empty() && next.problem.is_none(), "{next:?}");
}

#[tokio::test]
async fn a_server_that_is_away_at_first_is_a_problem_and_no_end() {
    let lab = Lab::recorded().await;
    lab.double.fault(Fault::RefuseConnections).await.unwrap();
    let mut watch = lab.watch(&[ECHO]).await;
    let first = soon(watch.next()).await;
    assert!(first.services.is_empty());
    assert!(problem(&first).contains("cannot be reached"), "{first:?}");
    lab.double.fault(Fault::AcceptConnections).await.unwrap();
    let then = until(&mut watch, |objects| objects.problem.is_none()).await;
    assert_eq!(ready(&then, ECHO).unwrap(), ["10.42.0.2"]);
}

#[tokio::test]
async fn a_cluster_that_was_made_anew_is_followed_with_its_new_kubeconfig() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    let address = lab.double.address();
    let kubeconfig = lab.file("config");
    let home = lab.stop().await;
    until(&mut watch, |objects| problem(objects).contains("cannot be reached")).await;
    // Another certificate authority at the same address.
    let double = Double::start(Config { listen: address, ..Config::default() }).await.unwrap();
    double.delete(Resource::EndpointSlices, "backend", "echo-j45cz").await.unwrap();
    let stranger = until(&mut watch, |objects| problem(objects).contains("is not trusted")).await;
    assert_eq!(ready(&stranger, ECHO).unwrap(), ["10.42.0.2"]);
    fs::write(&kubeconfig, double.kubeconfig(&Kubeconfig::default()).await.unwrap()).unwrap();
    let anew = until(&mut watch, |objects| objects.problem.is_none()).await;
    assert_eq!(ready(&anew, ECHO).unwrap(), [""; 0]);
    drop(home);
}

#[tokio::test]
async fn a_token_that_expires_is_a_problem_until_it_is_replaced() {
    let authentication =
        Authentication { certificate: false, token: Some("one".to_owned()), ..Authentication::default() };
    let lab = Lab::with(Config { authentication, ..Config::default() }).await;
    fs::write(lab.file("token"), "one\n").unwrap();
    lab.write_kubeconfig(&Kubeconfig { token_file: Some(lab.file("token")), ..Kubeconfig::default() }).await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    lab.double.fault(Fault::Token { token: Some("two".to_owned()) }).await.unwrap();
    lab.double.fault(Fault::KillConnections).await.unwrap();
    let refused = until(&mut watch, |objects| objects.problem.is_some()).await;
    assert!(problem(&refused).contains("does not accept the credentials"), "{refused:?}");
    assert_eq!(ready(&refused, ECHO).unwrap(), ["10.42.0.2"]);
    fs::write(lab.file("token"), "two\n").unwrap();
    until(&mut watch, |objects| objects.problem.is_none()).await;
}

#[tokio::test]
async fn a_token_that_was_replaced_in_time_is_no_problem_at_all() {
    let authentication =
        Authentication { certificate: false, token: Some("one".to_owned()), ..Authentication::default() };
    let lab = Lab::with(Config { authentication, ..Config::default() }).await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    lab.double.fault(Fault::Token { token: Some("two".to_owned()) }).await.unwrap();
    lab.write_kubeconfig(&Kubeconfig::default()).await;
    lab.double.fault(Fault::KillConnections).await.unwrap();
    lab.double.delete(Resource::Services, "backend", "echo").await.unwrap();
    let next = soon(watch.next()).await;
    assert!(next.services.is_empty() && next.problem.is_none(), "{next:?}");
}

#[tokio::test]
async fn a_watch_that_is_refused_as_too_old_lists_anew() {
    let lab = Lab::recorded().await;
    let mut watch = lab.watch(&[ECHO]).await;
    soon(watch.next()).await;
    let requests = Requests::to(Verb::Watch, Resource::Services);
    lab.double.fault(Fault::Answer { requests, failure: Failure::Gone, times: Some(1) }).await.unwrap();
    lab.double.fault(Fault::KillConnections).await.unwrap();
    lab.double.delete(Resource::Services, "backend", "echo").await.unwrap();
    let next = soon(watch.next()).await;
    assert!(next.services.is_empty() && next.problem.is_none(), "{next:?}");
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let lab = Lab::recorded().await;
    let requests = Requests::to(Verb::List, Resource::EndpointSlices);
    lab.double.fault(Fault::Answer { requests, failure: Failure::Unavailable, times: Some(2) }).await.unwrap();
    let mut watch = lab.watch(&[ECHO]).await;
    assert!(problem(&soon(watch.next()).await).contains("answers 503"));
    let then = until(&mut watch, |objects| objects.problem.is_none()).await;
    assert_eq!(ready(&then, ECHO).unwrap(), ["10.42.0.2"]);
}
