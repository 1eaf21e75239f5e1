//! A gate's stop, start and restart, and what it says meanwhile.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use super::cluster;
use crate::client::{tcp_echoes, tcp_is_closed, udp_echoes};
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, LONG, free_port, local};

/// A cluster on which a TCP and a UDP port are open.
async fn opened() -> Option<(Cluster, u16, u16)> {
    let cluster = cluster().await?;
    let (tcp, udp) = (free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    Some((cluster, tcp, udp))
}

#[tokio::test]
async fn a_stopped_gate_serves_again_once_it_is_started() {
    let Some((cluster, tcp, udp)) = opened().await else { return };
    let stopped = cluster.run("stop").await.ok();
    assert!(stopped.stderr.contains(&format!("{} is stopped", cluster.gate())), "{}", stopped.stderr);
    tcp_is_closed(local(tcp)).await;

    let started = cluster.run("start").await.ok();
    let expected = format!("{} is started, with 2 ports", cluster.gate());
    assert!(started.stderr.contains(&expected), "{}", started.stderr);
    tcp_echoes(local(tcp)).await;
    udp_echoes(local(udp)).await;
    cluster.run("start").await.ok();
    tcp_echoes(local(tcp)).await;
}

#[tokio::test]
async fn stopping_twice_is_fine() {
    let Some((cluster, ..)) = opened().await else { return };
    cluster.run("stop").await.ok();
    cluster.run("stop").await.ok();
}

#[tokio::test]
async fn a_restarted_gate_serves_the_same_ports() {
    let Some((cluster, tcp, udp)) = opened().await else { return };
    let further = free_port();
    cluster.run(&format!("open {further}:{ECHO}")).await.ok();
    let started_at = async || cluster.inspect(&cluster.gate()).await["State"]["StartedAt"].clone();
    let before = started_at().await;
    cluster.run("restart").await.ok();
    assert_ne!(started_at().await, before);
    tcp_echoes(local(tcp)).await;
    udp_echoes(local(udp)).await;
    tcp_echoes(local(further)).await;
    assert_eq!(cluster.volumes().await, [cluster.gate()]);
}

#[tokio::test]
async fn a_stopped_gate_is_named_by_the_commands_that_need_it() {
    let Some((cluster, tcp, _)) = opened().await else { return };
    cluster.run("stop").await.ok();
    let tested = cluster.run(&format!("test {tcp}")).await.fails(1);
    assert!(tested.stdout.contains(&format!("broken: gate {} is ", cluster.gate())), "{}", tested.stdout);
    for command in [format!("open {}:{ECHO}", free_port()), format!("close {tcp}")] {
        let ran = cluster.run(&command).await.fails(1);
        assert!(ran.stderr.contains(&format!("error: gate {} is ", cluster.gate())), "{command}: {}", ran.stderr);
        assert!(ran.stderr.contains("hint: start it with `portgate start`"), "{command}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_killed_gate_comes_back_by_itself() {
    let Some((cluster, tcp, _)) = opened().await else { return };
    let state = async || cluster.inspect(&cluster.gate()).await["State"].clone();
    let pid = state().await["Pid"].as_i64().unwrap();
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    let is_back = async |state: serde_json::Value| state["Pid"] != pid && state["Running"] == true;
    crate::support::eventually(async || is_back(state().await).await.then_some(())).await;
    let answers = async || crate::client::say(local(tcp), "hello").await.ok().filter(|answer| answer == "hello");
    crate::support::eventually(answers).await;
}

#[tokio::test]
async fn a_gates_log_is_printed_whole_or_from_its_end() {
    let Some((cluster, ..)) = opened().await else { return };
    let log = cluster.run("logs").await.ok().stdout;
    assert!(log.contains("the gate is open"), "{log}");
    let last = cluster.run("logs --tail 1").await.ok().stdout;
    assert_eq!(last.lines().collect::<Vec<_>>(), [log.lines().last().unwrap()]);
    let since = cluster.run("logs --since 1h").await.ok().stdout;
    assert!(since.contains("the gate is open"), "{since}");
    assert_eq!(cluster.run("logs --since 2100-01-01T00:00:00Z").await.ok().stdout, "");
}

/// `portgate logs -f`, and what it has said.
struct Following {
    program: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(cluster: &Cluster) -> Self {
        let mut command = cluster.command(&["logs", "-f"]);
        let mut program = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let said = BufReader::new(program.stdout.take().unwrap()).lines();
        Self { program, said }
    }

    async fn says(&mut self, text: &str) {
        let heard = async { while !self.said.next_line().await.unwrap().expect("the log has ended").contains(text) {} };
        timeout(LONG, heard).await.unwrap_or_else(|_| panic!("{text:?} is not said"));
    }
}

#[tokio::test]
async fn a_followed_log_goes_on() {
    let Some((cluster, tcp, _)) = opened().await else { return };
    let mut following = Following::start(&cluster);
    following.says("the gate is open").await;
    cluster.run(&format!("close {tcp}")).await.ok();
    following.says("the mappings changed").await;
}

#[tokio::test]
async fn a_followed_log_ends_with_ctrl_c() {
    let Some((cluster, ..)) = opened().await else { return };
    let mut following = Following::start(&cluster);
    following.says("the gate is open").await;
    let start = Instant::now();
    let pid = Pid::from_raw(i32::try_from(following.program.id().unwrap()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let status = timeout(LONG, following.program.wait()).await.expect("it does not end").unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(2), "it took {:?}", start.elapsed());
}
