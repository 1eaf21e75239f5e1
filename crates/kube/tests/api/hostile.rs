//! A server that sends more than anybody needs, or nothing when it is its turn.

use std::time::Duration;

use futures_util::future::join_all;
use portgate_core::causes;
use portgate_core::escape;
use portgate_core::kubernetes::{Kind, ObjectKey};
use portgate_double::object::{EndpointSlice, endpoint_slice, service};
use portgate_double::{Config, Fault, Hostility, Requests, Resource, Stage, Verb};
use portgate_kube::api::Api;
use portgate_kube::error::Error;
use tokio::net::TcpListener;

use crate::lab::{Lab, key, ready, soon, until};

const ECHO: &str = "svc/echo.backend";

async fn be_hostile(lab: &Lab, requests: Requests, how: Hostility) {
    lab.double.fault(Fault::Hostile { requests, how }).await.unwrap();
}

/// What comes of a question to a server that is hostile like this.
async fn failure(how: Hostility) -> Error {
    let lab = Lab::recorded().await;
    be_hostile(&lab, Requests::all(), how).await;
    soon(lab.api().await.services(None, None)).await.unwrap_err()
}

#[tokio::test]
async fn what_has_no_end_is_an_error_that_names_the_limit_and_the_server() {
    for (how, limit) in [
        (Hostility::EndlessPage, "8 MiB for a page of a list"),
        (Hostility::EndlessLine, "8 MiB for a page of a list"),
        (Hostility::EndlessPages, "200 pages of a list"),
        (Hostility::EndlessHead, "64 KiB for a response head"),
    ] {
        let error = failure(how.clone()).await;
        assert!(matches!(error, Error::TooMuch { .. }), "{how:?}: {error:?}");
        let line = causes::line(&error);
        assert!(line.contains(&format!("exceeds the limit of {limit}")), "{how:?}: {line}");
        assert!(line.contains("the API server https://127.0.0.1:") && line.contains("context k3d-double"), "{line}");
    }
}

#[tokio::test]
async fn a_refusal_is_told_as_far_as_it_can_be_shown() {
    let Error::Server { code: 500, message, .. } = failure(Hostility::EndlessRefusal).await else {
        panic!("it is refused")
    };
    assert!(message.starts_with("because of that of that"), "{message}");
    assert_eq!(message.chars().count(), escape::LONGEST + 1);
}

#[tokio::test]
async fn nobody_is_sent_to_another_server_with_the_credentials() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("https://{}/version", other.local_addr().unwrap());
    let error = failure(Hostility::Redirect { to }).await;
    assert!(matches!(error, Error::Server { code: 307, .. }), "{error:?}");
    let came = tokio::time::timeout(Duration::from_millis(200), other.accept()).await;
    assert!(came.is_err(), "{came:?}");
}

#[tokio::test]
async fn a_server_that_stalls_is_given_up_at_every_point() {
    let stages = [Stage::Connection, Stage::Request, Stage::Head, Stage::Body, Stage::Middle];
    let errors = join_all(stages.map(|stage| failure(Hostility::Stall(stage)))).await;
    for (stage, error) in stages.iter().zip(errors) {
        assert!(matches!(error, Error::Unreachable { .. }), "{stage:?}: {error:?}");
        let limit = if *stage == Stage::Connection { 5 } else { 10 };
        let expected = format!("no answer within {limit} s");
        assert!(causes::line(&error).ends_with(&expected), "{stage:?}: {}", causes::line(&error));
    }
}

#[tokio::test]
async fn a_watch_that_sends_too_much_or_stalls_in_a_line_is_a_problem_and_what_is_known_stays() {
    let watched = async |how: Hostility, limit: &str| {
        let lab = Lab::recorded().await;
        be_hostile(&lab, Requests::to(Verb::Watch, Resource::EndpointSlices), how).await;
        let mut watch = lab.watch(&[ECHO]).await;
        let is_told = |problem: &String| problem.contains(limit);
        let objects = until(&mut watch, |objects| objects.problem.as_ref().is_some_and(is_told)).await;
        assert_eq!(ready(&objects, ECHO).unwrap(), ["10.42.0.2"], "{limit}");
    };
    tokio::join!(
        watched(Hostility::EndlessLine, "exceeds the limit of 4 MiB for a line of a watch"),
        watched(
            Hostility::EndlessObjects { name: 100_000 },
            "exceeds the limit of 8 MiB for a cluster's Services and pods"
        ),
        watched(Hostility::Stall(Stage::Middle), "no answer within 10 s"),
    );
}

#[tokio::test]
async fn a_watch_that_is_silent_between_its_lines_is_no_problem() {
    let lab = Lab::recorded().await;
    be_hostile(&lab, Requests::to(Verb::Watch, Resource::EndpointSlices), Hostility::Stall(Stage::Body)).await;
    let mut watch = lab.watch(&[ECHO]).await;
    assert_eq!(soon(watch.next()).await.problem, None);
    let told = tokio::time::timeout(Duration::from_secs(12), watch.next()).await;
    assert!(told.is_err(), "{told:?}");
}

/// A Service with so many full `EndpointSlice`s, of 1000 endpoints with 100 ports each.
async fn add_full_slices(lab: &Lab, count: u32) {
    lab.double.apply(service("large", "backend").port("", 80)).await.unwrap();
    let ports = |slice: EndpointSlice, port| slice.port(&format!("port-{port}"), port);
    for number in 0..count {
        let slice = (1..=100).fold(endpoint_slice("large", "backend").number(number), ports);
        let endpoint = |slice: EndpointSlice, end: u32| {
            slice.endpoint(
                &format!("10.{number}.{}.{}", end / 250, end % 250 + 1),
                "node",
                &format!("pod-{number}-{end}"),
            )
        };
        lab.double.apply((0..1000).fold(slice, endpoint)).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_kept_of_all_answers_together_has_a_limit() {
    let lab = Lab::with(Config { objects: portgate_double::Objects::None, ..Config::default() }).await;
    add_full_slices(&lab, 1).await;
    let api: Api = lab.api().await;
    let large = ObjectKey { kind: Kind::Service, ..key("svc/large.backend") };
    let objects = soon(api.objects(std::slice::from_ref(&large))).await.unwrap();
    assert_eq!(objects.services[&large].endpoints.len(), 1000);
    add_full_slices(&lab, 4).await;
    let error = soon(api.objects(&[large])).await.unwrap_err();
    assert!(causes::line(&error).contains("8 MiB for a cluster's Services and pods"), "{}", causes::line(&error));
}
