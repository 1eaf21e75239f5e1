//! What a double does that is told to be hostile.

use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::Method;
use portgate_double::object::{FOREIGN_ADDRESSES, FOREIGN_NAMES, endpoint_slice, service};
use portgate_double::{Config, Double, Fault, Hostility, Requests, Resource, Stage, Verb};
use tokio::time::timeout;

use crate::client::{Client, soon};

/// More than any honest answer has, in bytes.
const MUCH: usize = 20_000_000;

/// How long nothing has to come until nothing will.
const QUIET: Duration = Duration::from_millis(100);

async fn hostile(requests: Requests, how: Hostility) -> (Double, Client) {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    double.fault(Fault::Hostile { requests, how }).await.unwrap();
    (double, client)
}

/// How much comes of a body, up to [`MUCH`], and how many lines are in that.
async fn comes(how: Hostility, path: &str) -> (u16, usize, usize) {
    let (_double, client) = hostile(Requests::all(), how).await;
    let mut kept = client.keep().await;
    let answer = kept.send(&Method::GET, path).await.unwrap();
    let (code, mut body) = (answer.status().as_u16(), answer.into_body());
    let (mut length, mut lines) = (0, 0);
    while length < MUCH {
        let frame = soon(body.frame()).await.unwrap().unwrap();
        let bytes = frame.data_ref().unwrap();
        length += bytes.len();
        lines += bytes.split(|byte| *byte == b'\n').count() - 1;
    }
    (code, length, lines)
}

#[tokio::test]
async fn what_has_no_end_goes_on() {
    let services = "/api/v1/services";
    assert!(matches!(comes(Hostility::EndlessPage, services).await, (200, MUCH.., 0)));
    assert!(matches!(comes(Hostility::EndlessLine, services).await, (200, MUCH.., 0)));
    assert!(matches!(comes(Hostility::EndlessRefusal, services).await, (500, MUCH.., 0)));
    let (code, _, lines) = comes(Hostility::EndlessObjects { name: 100_000 }, "/api/v1/services?watch=1").await;
    assert!(code == 200 && lines > 100, "{lines}");
}

#[tokio::test]
async fn a_page_leads_to_the_next_for_those_requests_that_it_is_for() {
    let requests = Requests::to(Verb::List, Resource::Services);
    let (double, client) = hostile(requests, Hostility::EndlessPages).await;
    for path in ["/api/v1/services", "/api/v1/services?continue=more"] {
        assert_eq!(client.found(path).await["metadata"]["continue"], "more");
    }
    assert!(client.found("/api/v1/pods").await["metadata"]["continue"].is_null());
    double.fault(Fault::Mend).await.unwrap();
    assert!(client.found("/api/v1/services").await["metadata"]["continue"].is_null());
}

#[tokio::test]
async fn a_stall_is_where_it_should_be() {
    let stalled = async |stage| hostile(Requests::all(), Hostility::Stall(stage)).await;
    let (_double, client) = stalled(Stage::Connection).await;
    assert!(timeout(QUIET, client.dial()).await.is_err());
    for stage in [Stage::Request, Stage::Head] {
        let (_double, client) = stalled(stage).await;
        let mut kept = client.keep().await;
        assert!(timeout(QUIET, kept.send(&Method::GET, "/version")).await.is_err(), "{stage:?}");
    }
    for (stage, begins) in [(Stage::Body, false), (Stage::Middle, true)] {
        let (_double, client) = stalled(stage).await;
        let mut kept = client.keep().await;
        let mut body = kept.send(&Method::GET, "/version").await.unwrap().into_body();
        assert_eq!(timeout(QUIET, body.frame()).await.is_ok(), begins, "{stage:?}");
        assert!(timeout(QUIET, body.frame()).await.is_err(), "{stage:?}");
    }
}

#[tokio::test]
async fn objects_may_have_names_and_addresses_that_no_server_would_take() {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    for name in FOREIGN_NAMES {
        double.apply(service(name, "backend")).await.unwrap();
    }
    let slice = endpoint_slice("echo", "backend").number(9);
    let endpoint = |slice: portgate_double::object::EndpointSlice, address| slice.endpoint(address, "node", "pod");
    double.apply(FOREIGN_ADDRESSES.into_iter().fold(slice, endpoint)).await.unwrap();
    let services = client.found("/api/v1/namespaces/backend/services").await;
    let names: Vec<_> = services["items"].as_array().unwrap().iter().map(|item| &item["metadata"]["name"]).collect();
    assert!(FOREIGN_NAMES.iter().all(|name| names.contains(&&serde_json::Value::from(*name))), "{names:?}");
    let slice = client.found("/apis/discovery.k8s.io/v1/namespaces/backend/endpointslices/echo-9").await;
    assert_eq!(slice["endpoints"].as_array().unwrap().len(), FOREIGN_ADDRESSES.len());
}
