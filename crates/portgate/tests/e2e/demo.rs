//! `portgate demo` where there is no engine: a process of the user's, with files of its own.

use std::fs::File;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;

use crate::client::{say, tcp_echoes, tcp_is_closed, udp_echoes};
use crate::support::{Ran, eventually, finish, local};

/// A user without an engine. What the demo leaves running ends with it.
struct User {
    directory: TempDir,
}

impl User {
    fn new() -> Self {
        Self { directory: TempDir::new().unwrap() }
    }

    async fn run(&self, arguments: &str) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portgate"));
        command.args(arguments.split_whitespace()).env("XDG_RUNTIME_DIR", self.directory.path());
        command.env("DOCKER_HOST", "unix:///nonexistent.sock").env_remove("PORTGATE_CLUSTER");
        finish(command).await
    }

    /// Runs the demo, while no other test does: all look for free ports from the same one on.
    async fn demo(&self) -> Ran {
        let program = File::open(env!("CARGO_BIN_EXE_portgate")).unwrap();
        let turn = tokio::task::spawn_blocking(move || program.lock().map(|()| program)).await.unwrap().unwrap();
        let ran = self.run("demo").await.ok();
        drop(turn);
        ran
    }

    /// The processes that have been told of the user's directory.
    fn processes(&self) -> Vec<Pid> {
        let directory = self.directory.path().to_str().unwrap();
        let mentions = |process: &Path| {
            let arguments = std::fs::read(process.join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&arguments).contains(directory)
        };
        let entries = std::fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        let ids = entries.filter(|path| mentions(path)).filter_map(|path| path.file_name()?.to_str()?.parse().ok());
        ids.filter_map(Pid::from_raw).collect()
    }

    /// What is left in the directory of all process gates.
    fn files(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.directory.path().join("portgate")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Where the demo's three ports listen.
    async fn ports(&self) -> Ports {
        let list = self.run("ls -o json").await.ok().json();
        let mut items = list["items"].as_array().unwrap().clone();
        assert_eq!(items.len(), 3, "{list:#}");
        assert!(items.iter().all(|item| item["placement"] == "process" && item["state"] == "open"), "{list:#}");
        items.sort_by_key(|item| item["target"]["port"].as_u64());
        let port = |item: &serde_json::Value| u16::try_from(item["local"]["port"].as_u64().unwrap()).unwrap();
        let (udp, tcp): (Vec<_>, Vec<_>) = items.iter().partition(|item| item["local"]["protocol"] == "udp");
        Ports { http: port(tcp[0]), echo: port(tcp[1]), datagrams: port(udp[0]) }
    }
}

struct Ports {
    http: u16,
    echo: u16,
    datagrams: u16,
}

impl Drop for User {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

#[tokio::test]
async fn a_demo_works_without_an_engine_and_leaves_nothing() {
    let user = User::new();
    let demo = user.demo().await;
    assert_eq!(demo.stdout.matches(" ok: ").count(), 3, "{}", demo.stdout);
    assert!(demo.stderr.contains("Try next:"), "{}", demo.stderr);
    println!("the demo was ready in {:?}", demo.elapsed);
    let ports = user.ports().await;
    for port in [ports.echo, ports.datagrams, ports.http] {
        assert!(demo.stdout.contains(&format!("localhost:{port}/")), "{}", demo.stdout);
        assert!(demo.stderr.contains(&port.to_string()), "{}", demo.stderr);
    }
    tcp_echoes(local(ports.echo)).await;
    udp_echoes(local(ports.datagrams)).await;
    assert_eq!(user.files(), ["k3d-portgate-demo-portgate"]);
    let page = say(local(ports.http), "GET /admin/user HTTP/1.1\r\nHost: dev.test\r\n\r\n").await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("path: /admin/user"), "{page}");

    user.run("demo --down").await.ok();
    eventually(async || user.processes().is_empty().then_some(())).await;
    assert_eq!(user.files(), [""; 0]);
    tcp_is_closed(local(ports.echo)).await;
}

#[tokio::test]
async fn a_demo_that_runs_is_tried_again() {
    let user = User::new();
    user.demo().await;
    let processes = user.processes();
    assert_eq!(processes.len(), 1);
    let again = user.demo().await;
    assert_eq!(again.stdout.matches(" ok: ").count(), 3, "{}", again.stdout);
    assert_eq!(user.processes(), processes);
    user.run("demo --down").await.ok();
}

#[tokio::test]
async fn the_other_commands_know_a_demos_process() {
    let user = User::new();
    user.demo().await;
    let ports = user.ports().await;
    assert_eq!(user.run("test").await.ok().stdout.matches(" ok: ").count(), 3);
    let log = user.run("logs").await.ok().stdout;
    assert!(log.contains("the gate is open"), "{log}");
    user.run(&format!("close {}", ports.http)).await.ok();
    tcp_is_closed(local(ports.http)).await;
    tcp_echoes(local(ports.echo)).await;
    user.run("close --all").await.ok();
    eventually(async || user.processes().is_empty().then_some(())).await;
}

#[tokio::test]
async fn a_demo_that_was_killed_is_made_anew() {
    let user = User::new();
    user.demo().await;
    for process in user.processes() {
        kill_process(process, Signal::KILL).unwrap();
    }
    eventually(async || user.processes().is_empty().then_some(())).await;
    let demo = user.demo().await;
    assert_eq!(demo.stdout.matches(" ok: ").count(), 3, "{}", demo.stdout);
    user.run("demo --down").await.ok();
}

#[tokio::test]
async fn nothing_to_remove_is_fine() {
    let user = User::new();
    user.run("demo --down").await.ok();
}
