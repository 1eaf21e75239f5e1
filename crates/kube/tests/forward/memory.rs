//! How much memory connections take that stand still.

use std::env;
use std::process::Stdio;

use portgate_core::port::Port;
use portgate_double::Hostility;
use portgate_double::object::pod as pod_object;
use portgate_kube::access::Access;
use portgate_kube::api::Api;
use portgate_kube::forward::Forwarder;
use portgate_kube::settings::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::hostile::{hostile, ways};
use crate::lab::{Lab, named, pod, say, soon};
use crate::pod::{content, echo};

/// How many connections stand still, and in how many pods: so many that none shares a session with another.
const STALLED: usize = 200;
const PODS: usize = 2;

/// How many connections are flooded.
const FLOODED: usize = 50;

/// What the whole process may have had in memory at most, in KiB.
const LIMIT: u64 = 64 * 1024;

/// Where the measured process finds the kubeconfig.
const KUBECONFIG: &str = "PORTGATE_TEST_KUBECONFIG";

/// Says more than a stream takes, but not so much that the kernel's buffers for all of them run short.
async fn surge(mut stream: TcpStream) {
    let _ = stream.write_all(&content(0, 1_000_000)).await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_stand_still_take_little_memory() {
    // The test starts itself again, to be measured alone in a process.
    if let Some(kubeconfig) = env::var_os(KUBECONFIG) {
        return measure(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() }).await;
    }
    let mut lab = Lab::new().await;
    lab.serve(7, echo).await;
    for number in 0..PODS {
        let pod = named(&number.to_string());
        lab.double.apply(pod_object(&pod.name, &pod.namespace).on("node", "172.18.0.2")).await.unwrap();
        lab.serve_in(&pod, 19, surge).await;
    }
    run_alone(&lab, "memory::connections_that_stand_still_take_little_memory").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_flooded_take_little_memory() {
    if let Some(kubeconfig) = env::var_os(KUBECONFIG) {
        return measure_floods(Settings { kubeconfig: Some(kubeconfig.into()), ..Settings::default() }).await;
    }
    for transports in ways() {
        let lab = hostile(transports, Hostility::Flood).await;
        run_alone(&lab, "memory::connections_that_are_flooded_take_little_memory").await;
    }
}

/// Runs a test of this program again, in a process of its own.
async fn run_alone(lab: &Lab, this: &str) {
    let mut measured = Command::new(env::current_exe().unwrap());
    measured.args(["--exact", this, "--nocapture"]).env(KUBECONFIG, lab.kubeconfig());
    let output = soon(measured.stdin(Stdio::null()).kill_on_drop(true).output()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Opens connections of which one is read, and the others are not.
async fn measure_floods(settings: Settings) {
    let forwarder = Forwarder::new(&Api::connect(&Access::of_user(&settings).unwrap()).await.unwrap());
    let before = most_memory();
    let mut flooded = Vec::new();
    for _ in 0..FLOODED {
        let mut stream = soon(forwarder.open(&pod(), Port::new(7).unwrap())).await.unwrap();
        soon(stream.receiver.next()).await.unwrap().unwrap();
        flooded.push(stream);
    }
    let mut read = flooded.pop().unwrap();
    let mut length = 0;
    while length < 50_000_000 {
        length += soon(read.receiver.next()).await.unwrap().unwrap().len();
    }
    let most = most_memory();
    println!("{before} KiB before, {most} KiB with {FLOODED} connections that are flooded");
    assert!(most < LIMIT, "{most} KiB");
}

async fn measure(settings: Settings) {
    let forwarder = Forwarder::new(&Api::connect(&Access::of_user(&settings).unwrap()).await.unwrap());
    let open = async |pod, port| soon(forwarder.open(&pod, Port::new(port).unwrap())).await.unwrap();
    let before = most_memory();
    let mut stalled = Vec::new();
    for number in 0..STALLED {
        let mut stream = open(named(&(number % PODS).to_string()), 19).await;
        soon(stream.receiver.next()).await.unwrap().unwrap();
        stalled.push(stream);
    }
    // While something is carried for others, as much comes as these take.
    let sent = content(0, 100_000);
    for _ in 0..200 {
        assert!(say(open(pod(), 7).await, sent.clone()).await == sent, "the content differs");
    }
    let most = most_memory();
    println!("{before} KiB before, {most} KiB with {STALLED} connections that stand still");
    assert!(most < LIMIT, "{most} KiB");
}

/// How much of this process was in memory at most, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    most.trim().trim_end_matches(" kB").parse().unwrap()
}
