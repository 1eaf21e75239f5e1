//! A gate whose control socket is crowded, and that has few descriptors.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::control::{Detail, Request};
use portgate_core::state::GateState;
use portgate_gate::Store;
use portgate_gate::client::Session;
use tokio::net::UnixStream;

const CROWD: usize = 200;

/// How many descriptors the gate may have.
const DESCRIPTORS: usize = 96;

/// How long it is looked at.
const WATCHED: Duration = Duration::from_secs(3);

const PATIENCE: Duration = Duration::from_secs(20);

/// A gate without mappings, which is killed in the end.
struct Gate(Child);

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

impl Gate {
    fn start(directory: &Path) -> Self {
        let cluster = ClusterId { provider: Provider::Network, name: "crowd".to_owned() };
        Store::new(directory.join("state.json")).save(&GateState::new(cluster, Vec::new(), Vec::new())).unwrap();
        let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" gate run --process \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_portgate")]).arg(directory);
        Self(command.stderr(File::create(directory.join("log")).unwrap()).spawn().unwrap())
    }

    /// The processor time that it has used, in hundredths of a second.
    fn used(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

#[tokio::test]
async fn a_crowd_at_the_control_socket_keeps_nobody_out_and_costs_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("control.sock");
    let gate = Gate::start(directory.path());
    drop(Session::connect(&socket, PATIENCE).await.unwrap());

    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        match UnixStream::connect(&socket).await {
            Ok(stream) => crowd.push(stream),
            // The queue of those who wait to be accepted is full for now.
            Err(_) => tokio::task::yield_now().await,
        }
    }
    let (start, used) = (Instant::now(), gate.used());
    let mut slowest = Duration::ZERO;
    while start.elapsed() < WATCHED {
        let asked = Instant::now();
        let mut session = Session::connect(&socket, PATIENCE).await.unwrap();
        session.request(&Request::Status { detail: Detail::Whole }).await.unwrap();
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let used = gate.used() - used;
    let log = fs::read_to_string(directory.path().join("log")).unwrap();
    println!("{CROWD} connections: the slowest answer took {slowest:?}, the gate used {} ms in {WATCHED:?}", used * 10);
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(used < 30, "more than a tenth of a processor: {used}");
    assert!(log.lines().count() < 10, "{log}");
    let descriptors = fs::read_dir(format!("/proc/{}/fd", gate.0.id())).unwrap().count();
    assert!(descriptors < DESCRIPTORS / 2, "{descriptors}");
    drop(crowd);
}
