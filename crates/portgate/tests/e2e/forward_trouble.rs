//! What a forward does when pods go, connections break, and the API server is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portgate_double::object::endpoint_slice;
use portgate_double::{Fault, Resource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::client::{Talk, say, tcp_echoes};
use crate::reach::{POD, User, heard, says};
use crate::support::{LONG, eventually, free_port, local, turn};

#[tokio::test]
async fn a_pod_that_is_replaced_under_load_costs_no_new_connection() {
    let mut user = User::new().await;
    user.serve("web-1", 80, says("web-1")).await;
    user.serve("web-2", 80, says("web-2")).await;
    user.lead_web_to(&["web-1"]).await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/web {port}:80 -n backend")).await;
    assert_eq!(heard(local(port)).await.unwrap(), "web-1");

    let over = Arc::new(AtomicBool::new(false));
    let replaced = Arc::new(AtomicBool::new(false));
    let (stop, is_replaced) = (Arc::clone(&over), Arc::clone(&replaced));
    let load = tokio::spawn(async move {
        let (mut failed, mut seen) = (Vec::new(), [0, 0]);
        while !stop.load(Ordering::Relaxed) {
            let ready = is_replaced.load(Ordering::Relaxed);
            match heard(local(port)).await.as_deref() {
                Ok("web-1") => seen[0] += 1,
                Ok("web-2") => seen[1] += 1,
                // One that was on its way when its pod went may break.
                other if ready => failed.push(format!("{other:?}")),
                _ => {}
            }
        }
        (failed, seen)
    });
    // As a rolling update does: first the new pod is ready, then the old one goes.
    user.lead_web_to(&["web-1", "web-2"]).await;
    user.lead_web_to(&["web-2"]).await;
    user.api.fault(Fault::KillPod { namespace: "backend".to_owned(), pod: "web-1".to_owned() }).await.unwrap();
    eventually(async || (heard(local(port)).await.ok()? == "web-2").then_some(())).await;
    replaced.store(true, Ordering::Relaxed);
    for _ in 0..50 {
        assert_eq!(heard(local(port)).await.unwrap(), "web-2");
    }
    over.store(true, Ordering::Relaxed);
    let (failed, seen) = load.await.unwrap();
    println!("{seen:?} connections went to the old and to the new pod");
    assert!(failed.is_empty(), "{failed:?}");
    assert!(seen[1] > 0, "{seen:?}");
}

#[tokio::test]
async fn pods_take_turns_and_a_sticky_forward_keeps_to_one() {
    let mut user = User::new().await;
    user.serve("web-1", 80, says("web-1")).await;
    user.serve("web-2", 80, says("web-2")).await;
    user.lead_web_to(&["web-1", "web-2"]).await;
    let (port, sticky) = (free_port(), free_port());
    let _forward = user.forward(&format!("svc/web {port}:80 -n backend")).await;
    let _sticky = user.forward(&format!("svc/web {sticky}:80 -n backend --sticky")).await;
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(heard(local(port)).await.unwrap());
        assert_eq!(heard(local(sticky)).await.unwrap(), "web-1");
    }
    assert_eq!(names, ["web-1", "web-2", "web-1", "web-2"]);
}

#[tokio::test]
async fn without_a_ready_pod_connections_wait_for_one_and_are_reset_in_the_end() {
    let mut user = User::new().await;
    user.serve("web-1", 80, says("web-1")).await;
    user.lead_web_to(&["web-1"]).await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/web {port}:80 -n backend --wait-for-pod 2s")).await;
    let nobody = endpoint_slice("web", "backend").port("http", 80).unready_endpoint("10.42.0.80", "node", "web-1");
    user.api.apply(nobody.clone()).await.unwrap();
    eventually(async || (user.mapping().await["reason"] == "not-ready").then_some(())).await;

    let waiting = tokio::spawn(heard(local(port)));
    eventually(async || (!waiting.is_finished()).then_some(())).await;
    user.lead_web_to(&["web-1"]).await;
    assert_eq!(waiting.await.unwrap().unwrap(), "web-1");

    user.api.apply(nobody).await.unwrap();
    eventually(async || (user.mapping().await["reason"] == "not-ready").then_some(())).await;
    assert!(heard(local(port)).await.is_err(), "it is reset, and not ended in peace");
    let mapping = user.mapping().await;
    let message = mapping["counters"]["last_error"]["message"].as_str().unwrap();
    assert_eq!(message, "waited 2 s: no endpoint of svc/web.backend is ready");
}

#[tokio::test]
async fn an_api_server_that_restarts_is_waited_for() {
    let user = User::new().await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/echo {port}:9999 -n backend")).await;
    tcp_echoes(local(port)).await;
    user.api.fault(Fault::Restart { after: Duration::from_secs(1) }).await.unwrap();
    // The listener stays, and the connection waits.
    let answer = say(local(port), "after it").await;
    assert!(answer.is_ok(), "{answer:?}: {:#}", user.mapping().await["counters"]);
    let watches = user.api.counters().await.unwrap().requests(portgate_double::Verb::Watch, Resource::EndpointSlices);
    assert!(watches > 0);
}

#[tokio::test]
async fn a_storm_of_resets_harms_no_other_connection() {
    let _turn = turn().await;
    let mut user = User::new().await;
    user.serve(POD, 80, |mut stream: TcpStream| async move {
        // More than any buffer holds: every reset comes half-way.
        let chunk = vec![1; 64 << 10];
        for _ in 0..256 {
            stream.write_all(&chunk).await?;
        }
        Ok(())
    })
    .await;
    let port = crate::support::free_ports(2);
    let _forward = user.forward(&format!("svc/echo {port}:9999 {}:80 -n backend", port + 1)).await;
    let mut others = JoinSet::new();
    let over = Arc::new(AtomicBool::new(false));
    let rounds = Arc::new(AtomicUsize::new(0));
    for _ in 0..10 {
        let (over, rounds) = (Arc::clone(&over), Arc::clone(&rounds));
        others.spawn(async move {
            let mut talk = Talk::start(local(port)).await;
            while !over.load(Ordering::Relaxed) {
                talk.goes_on().await;
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for _ in 0..20 {
        let mut storm = JoinSet::new();
        for _ in 0..50 {
            storm.spawn(async move {
                let mut stream = TcpStream::connect(local(port + 1)).await.unwrap();
                let mut chunk = vec![0; 1000];
                timeout(LONG, stream.read_exact(&mut chunk)).await.unwrap().unwrap();
                stream.set_zero_linger().unwrap();
            });
        }
        storm.join_all().await;
    }
    over.store(true, Ordering::Relaxed);
    others.join_all().await;
    println!("{} messages were echoed beside 1,000 resets", rounds.load(Ordering::Relaxed));
    assert_eq!(say(local(port), "all is well").await.unwrap(), "all is well");
}

#[tokio::test]
async fn stalled_connections_take_little_memory() {
    let _turn = turn().await;
    let mut user = User::new().await;
    user.serve(POD, 80, |mut stream: TcpStream| async move {
        let chunk = vec![1; 64 << 10];
        loop {
            stream.write_all(&chunk).await?;
        }
    })
    .await;
    let port = crate::support::free_ports(2);
    let forward = user.forward(&format!("svc/echo {port}:9999 {}:80 -n backend", port + 1)).await;
    let mut stalled = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(local(port + 1)).await.unwrap();
        timeout(LONG, stream.read_exact(&mut [0; 10])).await.unwrap().unwrap();
        stalled.push(stream);
    }
    // Others are not held up by those that nobody reads.
    tcp_echoes(local(port)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", forward.process.id().unwrap())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim();
    let kibibytes: u64 = resident.split(' ').next().unwrap().parse().unwrap();
    println!("200 stalled connections: {kibibytes} KiB resident");
    assert!(kibibytes < 64 << 10, "{kibibytes} KiB");
    drop(stalled);
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_cancelled_download_is_over_on_both_sides() {
    let mut user = User::new().await;
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    user.serve(POD, 80, move |mut stream: TcpStream| {
        let open = Arc::clone(&counted);
        async move {
            open.fetch_add(1, Ordering::SeqCst);
            let chunk = vec![1; 64 << 10];
            while stream.write_all(&chunk).await.is_ok() {}
            open.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    })
    .await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/echo {port}:80 -n backend")).await;
    let mut stream = TcpStream::connect(local(port)).await.unwrap();
    timeout(LONG, stream.read_exact(&mut vec![0; 1 << 20])).await.unwrap().unwrap();
    assert_eq!(open.load(Ordering::SeqCst), 1);
    drop(stream);
    eventually(async || (open.load(Ordering::SeqCst) == 0).then_some(())).await;
    eventually(async || (user.mapping().await["counters"]["connections_open"] == 0).then_some(())).await;
}
