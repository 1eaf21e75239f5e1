//! One stream, from its beginning to its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use portgate_kube::forward::{PodStream, StreamError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

use crate::lab::{Lab, all, pod, say, soon};
use crate::pod::{content, count, echo, flood, greet, reset};

#[tokio::test]
async fn either_side_may_end_first() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    lab.serve(25, greet).await;
    assert_eq!(say(lab.open(7).await, Bytes::from_static(b"ping")).await, b"ping");

    let PodStream { mut sender, mut receiver, verdict } = lab.open(25).await;
    assert_eq!(all(&mut receiver).await, b"hello");
    assert_eq!(soon(receiver.next()).await.unwrap(), None, "an end is an end");
    sender.send(Bytes::from_static(b"thanks")).await.unwrap();
    sender.finish().await.unwrap();
    let verdicts = tokio::join!(verdict.wait(), verdict.wait());
    assert_eq!(verdicts, (None, None));
    assert!(matches!(sender.send(Bytes::from_static(b"more")).await, Err(StreamError::Finished)));
}

#[tokio::test]
async fn what_was_sent_arrives_though_the_end_comes_at_once() {
    let mut lab = Lab::new().await;
    lab.serve(9, count).await;
    let length = 3_000_000;
    assert_eq!(say(lab.open(9).await, content(0, length)).await, length.to_string().as_bytes());
}

#[tokio::test]
async fn much_comes_back_as_it_went() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let sent = content(1, 20_000_000);
    assert!(say(lab.open(7).await, sent.clone()).await == sent, "the content differs");
}

#[tokio::test]
async fn connections_one_after_another_have_one_session() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    for _ in 0..20 {
        lab.ping().await;
    }
    let counters = lab.counters().await;
    assert_eq!((counters.sessions, counters.streams), (1, 20));
}

#[tokio::test]
async fn a_download_that_is_dropped_ends_in_the_pod_and_its_session_is_closed() {
    let mut lab = Lab::new().await;
    let (ended, mut ends) = mpsc::channel(1);
    lab.serve(19, move |stream| {
        let ended = ended.clone();
        async move {
            flood(stream).await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    let mut stream = lab.open(19).await;
    for _ in 0..100 {
        soon(stream.receiver.next()).await.unwrap().unwrap();
    }
    drop(stream);
    soon(ends.recv()).await.unwrap();
    lab.until(|counters| counters.open_sessions == 0).await;
}

#[tokio::test]
async fn one_part_that_is_dropped_ends_the_others() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let PodStream { mut sender, receiver, verdict } = lab.open(7).await;
    drop(receiver);
    assert_eq!(soon(verdict.wait()).await, None);
    assert!(matches!(sender.send(Bytes::from_static(b"more")).await, Err(StreamError::GivenUp)));

    let PodStream { sender, mut receiver, verdict: _ } = lab.open(7).await;
    drop(sender);
    assert!(matches!(soon(receiver.next()).await, Err(StreamError::GivenUp)));
}

#[tokio::test]
async fn a_verdict_that_is_dropped_ends_nothing() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let PodStream { mut sender, mut receiver, .. } = lab.open(7).await;
    sender.send(Bytes::from_static(b"ping")).await.unwrap();
    sender.finish().await.unwrap();
    assert_eq!(all(&mut receiver).await, b"ping");
}

#[tokio::test]
async fn a_pod_that_resets_a_connection_is_quoted() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    lab.serve(9999, reset).await;
    let PodStream { mut sender, mut receiver, verdict } = lab.open(9999).await;
    sender.send(Bytes::from_static(b"ab")).await.unwrap();
    assert_eq!(all(&mut receiver).await, b"");
    let reason = soon(verdict.wait()).await.unwrap();
    assert!(reason.contains("9999") && reason.contains("connection reset by peer"), "{reason}");
    drop((sender, receiver));
    lab.ping().await;
    let counters = lab.counters().await;
    assert_eq!(counters.open_sessions as u64, counters.sessions, "the pod's side has ended, and nothing is in the way");
}

#[tokio::test]
async fn a_stream_that_is_not_read_does_not_slow_down_the_others() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    lab.serve(19, move |mut stream: TcpStream| {
        let written = Arc::clone(&counter);
        async move {
            let chunk = vec![7; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {
                written.fetch_add(chunk.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    let mut stalled = lab.open(19).await;
    soon(stalled.receiver.next()).await.unwrap().unwrap();
    let sent = content(2, 5_000_000);
    for _ in 0..5 {
        assert!(say(lab.open(7).await, sent.clone()).await == sent, "the content differs");
    }
    let before = written.load(Ordering::Relaxed);
    assert!(before < 20_000_000, "{before} bytes wait for one who does not read");
    // It goes on when it is read.
    let mut read = 0;
    while read <= before {
        read += soon(stalled.receiver.next()).await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_pod_that_does_not_read_makes_the_sender_wait_and_nobody_else() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let go = Arc::new(Notify::new());
    let start = Arc::clone(&go);
    lab.serve(9, move |mut stream: TcpStream| {
        let go = Arc::clone(&start);
        async move {
            go.notified().await;
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).await.unwrap();
            stream.write_all(heard.len().to_string().as_bytes()).await.unwrap();
        }
    })
    .await;
    let sent = content(3, 50_000_000);
    let length = sent.len();
    let mut uploading = tokio::spawn(say(lab.open(9).await, sent));
    for _ in 0..20 {
        lab.ping().await;
    }
    assert!(!uploading.is_finished());
    go.notify_one();
    assert_eq!(soon(&mut uploading).await.unwrap(), length.to_string().as_bytes());
}

#[tokio::test]
async fn sessions_to_pods_that_are_not_retained_drain() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let open = lab.open(7).await;
    lab.ping().await;
    lab.until(|counters| counters.open_sessions == 2).await;
    lab.forwarder.retain(&BTreeSet::new());
    lab.until(|counters| counters.open_sessions == 1).await;
    lab.forwarder.retain(&[pod()].into());
    lab.ping().await;
    assert_eq!(lab.counters().await.sessions, 3, "what drains gets no new streams");
    assert_eq!(say(open, Bytes::from_static(b"still")).await, b"still");
    lab.until(|counters| counters.open_sessions == 1).await;
}

#[tokio::test]
async fn with_the_last_forwarder_all_streams_end() {
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    let PodStream { sender: _sender, mut receiver, verdict } = lab.open(7).await;
    drop(lab.forwarder);
    assert!(matches!(soon(receiver.next()).await, Err(StreamError::Closed)));
    assert_eq!(soon(verdict.wait()).await, None);
}
