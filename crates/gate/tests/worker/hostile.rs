//! What a worker whose code is foreign can do to its supervisor: nothing.

use std::time::{Duration, Instant};

use portgate_core::limits::WORKER_TEXT;
use portgate_gate::worker::{Refused, WorkerEvent};

use crate::stage::{Stage, end_of, hostile, nodes, soon};

/// How long the supervisor waits at most for a worker that does not answer.
const AT_MOST: Duration = Duration::from_secs(8);

/// Opens a mapping with a worker of this manner, which is replaced for this reason, and ends.
async fn replaced(manner: &str, expected: &str) {
    let mut stage = Stage::with(hostile(manner)).await;
    let ended = end_of(stage.pid());
    let start = Instant::now();
    stage.tcp(&[]);
    // It may be found out before it has taken the mapping or afterwards.
    soon(stage.worker.settle()).await;
    let WorkerEvent::Replaced { exit } = stage.event().await else { panic!("it was not replaced") };
    assert_eq!(exit, expected, "{manner}");
    ended.await;
    assert!(start.elapsed() < AT_MOST, "{manner}: {:?}", start.elapsed());
}

#[tokio::test]
async fn a_worker_that_reports_what_nobody_asked_for_is_replaced() {
    for manner in ["floods", "wishes", "promises"] {
        replaced(manner, "it reported what it was not asked for").await;
    }
}

#[tokio::test]
async fn a_worker_whose_report_does_not_end_is_replaced() {
    let limit = "it cannot be talked to: a message exceeds the limit of 2 MiB for a worker's report";
    replaced("does not end", limit).await;
}

#[tokio::test]
async fn a_worker_that_talks_nonsense_is_replaced() {
    let parser = "it cannot be talked to: EOF while parsing an object at line 1 column 1";
    replaced("talks nonsense", parser).await;
}

#[tokio::test]
async fn a_worker_that_falls_silent_is_replaced() {
    replaced("falls silent", "it gave no answer within 5s").await;
}

#[tokio::test]
async fn a_worker_that_hangs_up_and_lives_on_is_replaced() {
    replaced("hangs up", "it closed its socket and went on").await;
}

#[tokio::test]
async fn a_worker_that_the_filter_kills_is_replaced_and_the_reason_is_told() {
    replaced("opens a file", "the kernel killed it for a system call that no worker makes (SIGSYS)").await;
}

#[tokio::test]
async fn a_silent_worker_does_not_keep_the_counters_back() {
    let mut stage = Stage::with(hostile("falls silent")).await;
    let door = stage.tcp(&[]);
    for _ in 0..3 {
        let start = Instant::now();
        assert_eq!(stage.counters(&door).await.connections_total, 0);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn counters_are_those_of_the_workers_own_mappings_and_their_errors_are_short() {
    let mut stage = Stage::with(hostile("lies")).await;
    let door = stage.tcp(&[]);
    let counters = soon(stage.worker.counters()).await;
    assert_eq!(counters.keys().collect::<Vec<_>>(), [&door.local]);
    assert_eq!(counters[&door.local].bytes_in, u64::MAX);
    assert_eq!(counters[&door.local].last_error.as_ref().unwrap().message.len(), WORKER_TEXT.most);
}

#[tokio::test]
async fn a_mapping_that_is_refused_late_is_closed_and_no_other() {
    let mut stage = Stage::with(hostile("refuses another")).await;
    let (first, second) = (stage.tcp(&[]), stage.tcp(&[]));
    let refused = Refused { local: first.local.clone(), message: "not any more".to_owned() };
    assert_eq!(soon(stage.worker.settle()).await, [refused]);
    assert_eq!(soon(stage.worker.counters()).await.keys().collect::<Vec<_>>(), [&second.local]);
    // A route of a mapping that is closed goes nowhere.
    stage.worker.route(&first.local, Ok(nodes(&[])));
    assert_eq!(soon(stage.worker.settle()).await, []);
}
