//! What can be made to go wrong.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use portgate_double::{Config, Double, Failure, Fault, Requests, Resource, Verb};
use tokio::net::TcpStream;

use crate::client::{Client, soon};

async fn double() -> (Double, Client) {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    (double, client)
}

#[tokio::test]
async fn requests_fail_as_often_as_planned() {
    let (double, client) = double().await;
    let requests = Requests::to(Verb::List, Resource::Services);
    let fault = Fault::Answer { requests, failure: Failure::Unavailable, times: Some(2) };
    double.fault(fault).await.unwrap();
    let mut codes = Vec::new();
    for path in ["/api/v1/pods", "/api/v1/services", "/api/v1/services", "/api/v1/services"] {
        codes.push(client.get(path).await.0);
    }
    assert_eq!(codes, [200, 503, 503, 200]);
    let counters = double.counters().await.unwrap();
    assert_eq!(counters.requests(Verb::List, Resource::Services), 3);
    assert_eq!(counters.requests(Verb::List, Resource::Nodes), 0);
}

#[tokio::test]
async fn every_failure_is_a_status_with_its_code() {
    let (double, client) = double().await;
    for (failure, code, reason) in [
        (Failure::Unauthorized, 401, "Unauthorized"),
        (Failure::Forbidden, 403, "Forbidden"),
        (Failure::NotFound, 404, "NotFound"),
        (Failure::Gone, 410, "Expired"),
        (Failure::TooManyRequests, 429, "TooManyRequests"),
        (Failure::InternalError, 500, "InternalError"),
        (Failure::Unavailable, 503, "ServiceUnavailable"),
    ] {
        let fault = Fault::Answer { requests: Requests::all(), failure, times: None };
        double.fault(fault).await.unwrap();
        for path in ["/api/v1/namespaces/backend/services/echo", "/version"] {
            let (answered, status) = client.get(path).await;
            assert_eq!(
                (answered, status["code"].as_u64(), status["reason"].as_str()),
                (code, Some(code.into()), Some(reason))
            );
        }
    }
    double.fault(Fault::Mend).await.unwrap();
    client.found("/version").await;
}

#[tokio::test]
async fn connections_that_are_killed_break_and_new_ones_work() {
    let (double, client) = double().await;
    let mut kept = client.keep().await;
    assert_eq!(kept.get("/version").await.unwrap().0, 200);
    let mut events = client.watch("/api/v1/services?watch=1").await;
    for _ in 0..3 {
        events.next().await.unwrap();
    }
    assert_eq!(double.counters().await.unwrap().open_connections, 2);

    double.fault(Fault::KillPortForwards).await.unwrap();
    assert_eq!(kept.get("/version").await.unwrap().0, 200);
    double.fault(Fault::KillConnections).await.unwrap();
    kept.ended().await;
    assert_eq!(events.next().await, None);
    client.found("/version").await;
}

#[tokio::test]
async fn connections_are_refused_and_accepted_again_on_the_same_port() {
    let (double, client) = double().await;
    let mut kept = client.keep().await;
    double.fault(Fault::RefuseConnections).await.unwrap();
    let refused = TcpStream::connect(double.address()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert_eq!(kept.get("/version").await.unwrap().0, 200);

    double.fault(Fault::AcceptConnections).await.unwrap();
    client.found("/version").await;
}

#[tokio::test]
async fn a_restart_breaks_connections_and_comes_back_on_the_same_port() {
    let (double, client) = double().await;
    let mut kept = client.keep().await;
    double.fault(Fault::Restart { after: Duration::from_secs(1) }).await.unwrap();
    assert_eq!(TcpStream::connect(double.address()).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    kept.ended().await;
    let back = async {
        while TcpStream::connect(double.address()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(back).await;
    client.found("/version").await;
}

#[tokio::test]
async fn responses_can_be_late() {
    let (double, client) = double().await;
    let mut kept = client.keep().await;
    let by = Duration::from_millis(100);
    double.fault(Fault::Delay { by }).await.unwrap();
    let asked = Instant::now();
    kept.get("/version").await.unwrap();
    assert!(asked.elapsed() >= by);
}

#[tokio::test]
async fn a_double_that_has_stopped_holds_neither_port_nor_connection() {
    let (double, client) = double().await;
    let (address, mut kept) = (double.address(), client.keep().await);
    double.stop().await;
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    kept.ended().await;

    let (double, client) = self::double().await;
    let mut kept = client.keep().await;
    drop(double);
    kept.ended().await;
}
