//! All or nothing: two portgates at once, ports that are taken, and Ctrl-C at every moment.

use std::net::TcpListener;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::time::timeout;

use super::cluster;
use crate::client::{Talk, tcp_echoes};
use crate::support::{Cluster, ECHO, LONG, OTHER_ECHO, eventually, free_port, local};

#[tokio::test]
async fn two_commands_at_once_both_open_their_ports() {
    let Some(cluster) = cluster().await else { return };
    let (one, other) = (free_port(), free_port());
    let commands = [format!("open {one}:{ECHO}"), format!("open {other}:{OTHER_ECHO}")];
    let (first, second) = tokio::join!(cluster.run(&commands[0]), cluster.run(&commands[1]));
    for opened in [first.ok(), second.ok()] {
        assert_eq!(opened.stdout.matches(" ok: ").count(), 1, "{}", opened.stdout);
    }
    tcp_echoes(local(one)).await;
    tcp_echoes(local(other)).await;
    cluster.mapping(one).await;
    cluster.mapping(other).await;
}

#[tokio::test]
async fn two_commands_at_once_open_the_same_port_once() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let command = format!("open {port}:{ECHO}");
    let (first, second) = tokio::join!(cluster.run(&command), cluster.run(&command));
    first.ok();
    second.ok();
    tcp_echoes(local(port)).await;
    cluster.mapping(port).await;
    assert_eq!(cluster.gates().await, [cluster.gate()]);
}

#[tokio::test]
async fn many_commands_at_once_open_all_their_ports() {
    let Some(cluster) = cluster().await else { return };
    let ports = [(); 4].map(|()| free_port());
    let commands = ports.map(|port| format!("open {port}:{ECHO}"));
    let opened = futures_util::future::join_all(commands.iter().map(|command| cluster.run(command))).await;
    for opened in opened {
        opened.ok();
    }
    for port in ports {
        tcp_echoes(local(port)).await;
        cluster.mapping(port).await;
    }
}

#[tokio::test]
async fn a_taken_port_keeps_the_others_from_being_opened() {
    let Some(cluster) = cluster().await else { return };
    let (free, taken) = (free_port(), free_port());
    let _holder = TcpListener::bind(local(taken)).unwrap();
    cluster.run(&format!("open {free}:{ECHO} {taken}:{ECHO}")).await.fails(1);
    cluster.is_untouched().await;
    TcpListener::bind(local(free)).unwrap();

    cluster.run(&format!("open {free}:{ECHO}")).await.ok();
    let further = free_port();
    cluster.run(&format!("open {further}:{ECHO} {taken}:{ECHO}")).await.fails(1);
    assert_eq!(cluster.gates().await, [cluster.gate()]);
    TcpListener::bind(local(further)).unwrap();
    tcp_echoes(local(free)).await;
}

/// A command that is about to be interrupted.
struct Running(Child);

impl Running {
    fn start(cluster: &Cluster, arguments: &str) -> Self {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = cluster.command(&arguments);
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Whether the program has come so far as to handle Ctrl-C itself.
    fn handles_interrupts(&self) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id().unwrap())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
        let bit = 1 << (Signal::INT.as_raw() - 1);
        u64::from_str_radix(caught.trim(), 16).unwrap() & bit != 0
    }

    /// Sends Ctrl-C, and returns the exit status; that of a signal which was not handled is none.
    async fn interrupt(mut self) -> Option<i32> {
        if let Some(id) = self.0.id() {
            let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
            // It may have ended on its own.
            let _ = kill_process(pid, Signal::INT);
        }
        timeout(LONG, self.0.wait()).await.expect("it does not end").unwrap().code()
    }
}

/// Interrupted, nothing is left; or the command was faster, and all of it is there.
async fn is_all_or_nothing(cluster: &Cluster, code: Option<i32>, port: u16) {
    match code {
        Some(130) => {
            cluster.is_untouched().await;
            TcpListener::bind(local(port)).unwrap();
        }
        Some(0) => tcp_echoes(local(port)).await,
        other => panic!("exit status {other:?}"),
    }
}

#[tokio::test]
async fn an_interrupt_at_the_start_leaves_nothing() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let running = Running::start(&cluster, &format!("open {port}:{ECHO}"));
    eventually(async || running.handles_interrupts().then_some(())).await;
    assert_eq!(running.interrupt().await, Some(130));
    cluster.is_untouched().await;
}

#[tokio::test]
async fn an_interrupt_once_the_volume_is_there_leaves_nothing() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let running = Running::start(&cluster, &format!("open {port}:{ECHO}"));
    eventually(async || (!cluster.volumes().await.is_empty()).then_some(())).await;
    is_all_or_nothing(&cluster, running.interrupt().await, port).await;
}

#[tokio::test]
async fn an_interrupt_once_the_container_is_there_leaves_nothing() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    let running = Running::start(&cluster, &format!("open {port}:{ECHO}"));
    eventually(async || (!cluster.gates().await.is_empty()).then_some(())).await;
    is_all_or_nothing(&cluster, running.interrupt().await, port).await;
}

#[tokio::test]
async fn an_interrupt_during_the_proof_leaves_nothing() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    // A silent target is waited for, so that the proof lasts.
    let running = Running::start(&cluster, &format!("open {port}:{ECHO} {port}:{}/udp", crate::support::SILENT));
    let is_running = async || cluster.docker(&["ps", "--format", "{{.Names}}"]).await.contains(&cluster.gate());
    eventually(async || is_running().await.then_some(())).await;
    is_all_or_nothing(&cluster, running.interrupt().await, port).await;
}

#[tokio::test]
async fn an_interrupted_further_port_leaves_the_first_as_it_was() {
    let Some(cluster) = cluster().await else { return };
    let (first, further) = (free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    let mut talk = Talk::start(local(first)).await;
    let running = Running::start(&cluster, &format!("open {further}:{ECHO}"));
    let has_begun = async || {
        if cluster.is_host() { running.handles_interrupts() } else { cluster.gates().await.len() == 2 }
    };
    eventually(async || has_begun().await.then_some(())).await;
    match running.interrupt().await {
        Some(130) => assert_eq!(cluster.gates().await, [cluster.gate()]),
        Some(0) => tcp_echoes(local(further)).await,
        other => panic!("exit status {other:?}"),
    }
    talk.goes_on().await;
    assert_eq!(cluster.volumes().await, [cluster.gate()]);
}
