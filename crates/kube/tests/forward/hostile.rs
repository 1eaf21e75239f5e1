//! A server that accepts a port-forward, and does not carry it as it should.

use std::time::Duration;

use portgate_core::limits::VERDICT;
use portgate_double::{Config, Fault, Hostility, Requests, Resource, Stage, Transport, Transports};
use portgate_kube::forward::{ForwardError, PodStream, StreamError};

use crate::lab::{Lab, soon};

/// The three ways to carry a port-forward, each as the only one.
pub(crate) fn ways() -> [Transports; 3] {
    let (served, refused) = (Transport::Served, Transport::BadRequest);
    [
        Transports { tunnel: refused, spdy: served, channels: refused },
        Transports { tunnel: served, spdy: refused, channels: refused },
        Transports { tunnel: refused, spdy: refused, channels: served },
    ]
}

pub(crate) async fn hostile(transports: Transports, how: Hostility) -> Lab {
    let lab = Lab::with(Config { transports, ..Config::default() }).await;
    let requests = Requests { resource: Some(Resource::PortForward), ..Requests::all() };
    lab.double.fault(Fault::Hostile { requests, how }).await.unwrap();
    lab
}

#[tokio::test]
async fn a_stream_that_is_not_accepted_in_time_is_lost() {
    let lost = async |transports, how: Hostility| {
        let lab = hostile(transports, how.clone()).await;
        let mut stream = match lab.try_open(7).await {
            Ok(stream) => stream,
            // The server was too fast.
            Err(ForwardError::Lost) if matches!(how, Hostility::LongMessage { .. }) => return,
            Err(error) => panic!("{transports:?} {how:?}: {error}"),
        };
        let outcome = tokio::time::timeout(Duration::from_secs(15), stream.receiver.next()).await;
        assert!(matches!(outcome, Ok(Err(StreamError::Lost(_)))), "{transports:?} {how:?}: {outcome:?}");
    };
    let [spdy, tunnel, channels] = ways();
    let stalled = || Hostility::Stall(Stage::Upgrade);
    tokio::join!(
        lost(spdy, stalled()),
        lost(tunnel, stalled()),
        lost(channels, stalled()),
        lost(spdy, Hostility::HalfFrame),
        lost(tunnel, Hostility::HalfFrame),
        lost(channels, Hostility::HalfFrame),
        lost(tunnel, Hostility::LongMessage { bytes: 1 << 30 }),
        lost(channels, Hostility::LongMessage { bytes: 1 << 30 }),
    );
}

#[tokio::test]
async fn why_a_connection_failed_is_told_up_to_a_limit() {
    for transports in ways() {
        let lab = hostile(transports, Hostility::EndlessVerdict).await;
        let PodStream { sender: _sender, receiver: _receiver, verdict } = lab.open(7).await;
        let text = soon(verdict.wait()).await.unwrap();
        assert_eq!(text.len(), VERDICT.most, "{transports:?}");
    }
}

#[tokio::test]
async fn a_request_for_a_port_forward_that_stalls_is_given_up() {
    for stage in [Stage::Request, Stage::Head] {
        let lab = hostile(Transports::default(), Hostility::Stall(stage)).await;
        let error = lab.try_open(7).await.unwrap_err();
        assert!(error.to_string().contains("cannot be reached"), "{stage:?}: {error}");
    }
}
