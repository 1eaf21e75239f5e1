//! Names that a worker uses are resolved by its supervisor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_relay::{Demand, Urgency};
use tokio::net::{TcpListener, TcpStream};

use crate::stage::{Stage, echo, echoed, echoed_udp, greeted, greeter, refusing, settings, soon, udp_echo};

/// Shorter than it takes to do anything.
const ALWAYS: Duration = Duration::ZERO;

async fn stage(freshness: Duration) -> (Stage, Arc<Demand>) {
    let demand = Arc::new(Demand::new(freshness));
    (Stage::on_demand(settings(), demand.clone()).await, demand)
}

#[tokio::test]
async fn a_connection_waits_for_its_backend_to_be_found_again() {
    let (mut stage, demand) = stage(Duration::MAX).await;
    let door = stage.tcp(&[refusing().await]);
    let client = tokio::spawn(greeted(door.address, "moved"));
    let failed = async { while demand.next().await.urgency != Urgency::Failed {} };
    soon(stage.meanwhile(failed)).await;
    stage.route(&door, &[greeter("moved").await]);
    demand.refreshed();
    soon(stage.meanwhile(client)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_finds_nothing_new_is_reset_when_the_resolution_ends() {
    let (mut stage, demand) = stage(Duration::MAX).await;
    let door = stage.tcp(&[refusing().await]);
    let resolver = tokio::spawn({
        let demand = demand.clone();
        async move {
            loop {
                demand.next().await;
                demand.refreshed();
            }
        }
    });
    let start = Instant::now();
    soon(stage.meanwhile(greeted(door.address, ""))).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(1), "not at the end of the whole limit: {:?}", start.elapsed());
    resolver.abort();
}

#[tokio::test]
async fn a_connection_asks_for_a_fresh_address_before_it_is_made() {
    let (mut stage, demand) = stage(ALWAYS).await;
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let door = stage.tcp(&[backend.local_addr().unwrap()]);
    let _client = stage.meanwhile(TcpStream::connect(door.address)).await.unwrap();
    let first = async {
        tokio::select! {
            biased;
            wish = demand.next() => wish.urgency,
            _ = backend.accept() => panic!("it was connected before"),
        }
    };
    assert_eq!(soon(stage.meanwhile(first)).await, Urgency::Used);
    demand.refreshed();
    soon(stage.meanwhile(backend.accept())).await.unwrap();
}

#[tokio::test]
async fn traffic_asks_again_and_silence_does_not() {
    let (mut stage, demand) = stage(Duration::MAX).await;
    let door = stage.udp(&[udp_echo().await]);
    for _ in 0..3 {
        stage.meanwhile(echoed_udp(door.address)).await;
        let used = async { demand.next().await.urgency };
        assert_eq!(soon(stage.meanwhile(used)).await, Urgency::Used);
        demand.refreshed();
        stage.worker.settle().await;
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), stage.meanwhile(demand.next())).await.is_err());
}

#[tokio::test]
async fn a_new_worker_asks_for_itself() {
    let (mut stage, demand) = stage(Duration::MAX).await;
    let door = stage.tcp(&[echo().await]);
    stage.meanwhile(echoed(door.address)).await;
    soon(stage.meanwhile(demand.next())).await;
    // Its wish is never fulfilled.
    stage.kill();
    stage.event().await;
    stage.meanwhile(echoed(door.address)).await;
    soon(stage.meanwhile(demand.next())).await;
    demand.refreshed();
}
