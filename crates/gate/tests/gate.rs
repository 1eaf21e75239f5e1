//! A gate in process placement, spoken to over its socket, with real backends on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use portgate_core::cluster::{ClusterId, Provider};
use portgate_core::control::{Change, Detail, Probe, ProbeOutcome, Refusal, Request, Response};
use portgate_core::mapping::{HostAddresses, Local, Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_core::state::{GateState, NodeHost};
use portgate_core::status::{GateStatus, MappingState, Placement};
use portgate_core::table::NoBackend;
use portgate_docker::settings::Settings as EngineSettings;
use portgate_gate::client::{ClientError, Session, health};
use portgate_gate::paths::ProcessPaths;
use portgate_gate::worker::WorkerSettings;
use portgate_gate::{Ending, GateError, Limits, Place, ProcessPlace, Settings, Store, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(10);

/// A gate, and the directory of its files.
struct Running {
    directory: tempfile::TempDir,
    task: JoinHandle<Result<Ending, GateError>>,
    session: Session<UnixStream>,
}

/// Starts a gate with these mappings, on nodes at these hosts.
async fn gate(mappings: Vec<Mapping>, hosts: &[&str]) -> Running {
    start(prepared(mappings, hosts)).await
}

fn prepared(mappings: Vec<Mapping>, hosts: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let cluster = ClusterId { provider: Provider::K3d, name: "c".to_owned() };
    let node = |host: &&str| NodeHost { name: format!("node-{host}"), host: (*host).to_owned() };
    let nodes = hosts.iter().map(node).collect();
    Store::new(paths(&directory).state()).save(&GateState::new(cluster, nodes, mappings)).unwrap();
    directory
}

async fn start(directory: tempfile::TempDir) -> Running {
    start_with(directory, None).await
}

async fn start_with(directory: tempfile::TempDir, worker: Option<WorkerSettings>) -> Running {
    let paths = paths(&directory);
    let (state, socket) = (paths.state(), paths.socket());
    let limits = Limits::default();
    let task = tokio::spawn(run(Settings { place: place(), state, socket, limits, worker }));
    let session = Session::connect(&paths.socket(), PATIENCE).await.unwrap();
    Running { directory, task, session }
}

fn paths(directory: &tempfile::TempDir) -> ProcessPaths {
    ProcessPaths { directory: directory.path().to_owned(), keep: directory.path().to_owned() }
}

fn place() -> Place {
    Place::Process(ProcessPlace { engine: EngineSettings::from_variables(|_| None) })
}

impl Running {
    async fn status(&mut self) -> GateStatus {
        match self.session.request(&Request::Status { detail: Detail::Whole }).await.unwrap() {
            Response::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    async fn change(&mut self, revision: u64, open: Vec<Mapping>, close: Vec<Local>) -> Result<u64, Refusal> {
        let change = Change { revision, open, close, ..Change::default() };
        match self.session.request(&Request::Change(change)).await {
            Ok(Response::Done { revision, .. }) => Ok(revision),
            Err(ClientError::Refused(refusal)) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    async fn stop(mut self) -> tempfile::TempDir {
        self.session.request(&Request::Stop).await.unwrap();
        self.task.await.unwrap().unwrap();
        self.directory
    }
}

/// A server on loopback that echoes one connection after the other; its port.
async fn echo() -> Port {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = port(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        }
    });
    port
}

fn port(address: SocketAddr) -> Port {
    Port::new(address.port()).unwrap()
}

/// A mapping from a free port of 127.0.0.1.
fn to(target: Port) -> Mapping {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addresses = HostAddresses::single(Ipv4Addr::LOCALHOST.into());
    let local = Local { addresses, port: port(free.local_addr().unwrap()), protocol: Protocol::Tcp };
    Mapping { local, target: Target::NodePort { port: target } }
}

async fn echoes(mapping: &Mapping) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, mapping.local.port.number())).await?;
    stream.write_all(b"hello").await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert_eq!(answer, "hello");
    Ok(())
}

#[tokio::test]
async fn a_gate_carries_what_its_state_file_says() {
    let mapping = to(echo().await);
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1"]).await;
    echoes(&mapping).await.unwrap();
    let status = gate.status().await;
    assert_eq!((status.revision, status.placement), (1, Placement::Process));
    let [carried] = status.mappings.as_slice() else { panic!("{status:?}") };
    assert_eq!((&carried.local, &carried.state), (&mapping.local, &MappingState::Open));
    assert_eq!((carried.counters.bytes_in, carried.counters.bytes_out), (5, 5));
    health(&paths(&gate.directory).socket()).await.unwrap();
}

#[tokio::test]
async fn changes_are_served_at_once_and_survive_a_restart() {
    let (first, second) = (to(echo().await), to(echo().await));
    let mut gate = gate(vec![first.clone()], &["127.0.0.1"]).await;
    assert_eq!(gate.change(1, vec![second.clone()], vec![first.local.clone()]).await, Ok(2));
    echoes(&second).await.unwrap();
    assert!(echoes(&first).await.is_err());

    let mut gate = start(gate.stop().await).await;
    assert_eq!(gate.status().await.revision, 2);
    echoes(&second).await.unwrap();
    assert!(echoes(&first).await.is_err());
}

#[tokio::test]
async fn a_mapping_can_be_led_elsewhere_without_being_closed() {
    let mapping = to(Port::new(1).unwrap());
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1"]).await;
    let moved = Mapping { target: Target::NodePort { port: echo().await }, ..mapping.clone() };
    assert_eq!(gate.change(1, vec![moved.clone()], vec![mapping.local.clone()]).await, Ok(2));
    echoes(&moved).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_lost_a_race_is_told_so_and_changes_nothing() {
    let (first, second) = (to(echo().await), to(echo().await));
    let mut gate = gate(vec![first.clone()], &["127.0.0.1"]).await;
    assert_eq!(gate.change(1, vec![second.clone()], Vec::new()).await, Ok(2));
    let late = gate.change(1, Vec::new(), vec![first.local.clone()]).await;
    assert_eq!(late, Err(Refusal::Stale { revision: 2 }));
    echoes(&first).await.unwrap();
}

#[tokio::test]
async fn a_change_is_all_or_nothing() {
    let (open, wanted) = (to(echo().await), to(echo().await));
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut blocked = wanted.clone();
    blocked.local.port = port(taken.local_addr().unwrap());
    let mut gate = gate(vec![open.clone()], &["127.0.0.1"]).await;

    let refused = gate.change(1, vec![wanted.clone(), blocked.clone()], vec![open.local.clone()]).await;
    assert!(matches!(refused, Err(Refusal::Bind { ref local, .. }) if *local == blocked.local), "{refused:?}");
    assert_eq!(gate.status().await.revision, 1);
    echoes(&open).await.unwrap();
    assert!(echoes(&wanted).await.is_err());

    drop(taken);
    assert_eq!(gate.change(1, vec![wanted.clone(), blocked.clone()], Vec::new()).await, Ok(2));
    echoes(&blocked).await.unwrap();
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_mapping_that_a_worker_gives_up_is_told_as_such_and_does_not_stop_another() {
    let (first, second) = (to(echo().await), to(echo().await));
    let directory = prepared(vec![first.clone()], &["127.0.0.1"]);
    let worker = WorkerSettings {
        program: env!("CARGO_BIN_EXE_portgate-test-worker").into(),
        arguments: vec!["hostile".to_owned(), "refuses another".to_owned()],
        identity: None,
        limits: Limits::default(),
    };
    let mut gate = start_with(directory, Some(worker)).await;
    assert_eq!(gate.change(1, vec![second.clone()], Vec::new()).await, Ok(2), "it is not this one that is refused");
    let states: Vec<_> =
        gate.status().await.mappings.into_iter().map(|mapping| (mapping.local, mapping.state)).collect();
    let message = "not any more".to_owned();
    assert!(states.contains(&(first.local, MappingState::NotListening { message })), "{states:?}");
    assert!(states.contains(&(second.local, MappingState::Open)), "{states:?}");
}

#[tokio::test]
async fn a_state_that_cannot_be_saved_is_not_served() {
    let wanted = to(echo().await);
    let mut gate = gate(Vec::new(), &["127.0.0.1"]).await;
    // In the way of the file that is to replace the state file.
    std::fs::create_dir(paths(&gate.directory).state().with_extension("new")).unwrap();
    let refused = gate.change(1, vec![wanted.clone()], Vec::new()).await;
    assert!(matches!(refused, Err(Refusal::State { .. })), "{refused:?}");
    assert!(echoes(&wanted).await.is_err());
}

/// Asks for this, and tells why it was not saved.
async fn unsaved(gate: &mut Running, request: Request) -> Option<String> {
    match gate.session.request(&request).await.unwrap() {
        Response::Done { unsaved, .. } => unsaved,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_port_closes_though_that_cannot_be_saved_and_is_saved_as_soon_as_it_can_be() {
    let (first, second) = (to(echo().await), to(echo().await));
    let mut gate = gate(vec![first.clone(), second.clone()], &["127.0.0.1"]).await;
    let state = paths(&gate.directory).state();
    let obstacle = state.with_extension("new");
    std::fs::create_dir(&obstacle).unwrap();
    let close = |revision, mapping: &Mapping| {
        Request::Change(Change { revision, close: vec![mapping.local.clone()], ..Change::default() })
    };
    let why = unsaved(&mut gate, close(1, &first)).await.unwrap();
    assert!(why.starts_with("cannot write the state file"), "{why}");
    assert!(echoes(&first).await.is_err());
    echoes(&second).await.unwrap();
    assert_eq!(gate.status().await.revision, 2);
    assert_eq!(Store::new(state.clone()).load().unwrap().unwrap().revision, 1);

    std::fs::remove_dir(&obstacle).unwrap();
    gate.status().await;
    let saved = Store::new(state.clone()).load().unwrap().unwrap();
    assert_eq!((saved.revision, saved.mappings), (2, vec![second.clone()]));
    assert_eq!(unsaved(&mut gate, close(2, &second)).await, None);
}

#[tokio::test]
async fn what_could_not_be_saved_is_saved_when_the_gate_ends() {
    let mapping = to(echo().await);
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1"]).await;
    let state = paths(&gate.directory).state();
    std::fs::create_dir(state.with_extension("new")).unwrap();
    assert_eq!(gate.change(1, Vec::new(), vec![mapping.local.clone()]).await, Ok(2));
    std::fs::remove_dir(state.with_extension("new")).unwrap();
    let _directory = gate.stop().await;
    assert_eq!(Store::new(state).load().unwrap().unwrap().revision, 2);
}

#[tokio::test]
async fn a_gate_retires_though_its_state_file_stays() {
    let mapping = to(echo().await);
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1"]).await;
    let state = paths(&gate.directory).state();
    std::fs::remove_file(&state).unwrap();
    std::fs::create_dir(&state).unwrap();
    assert!(unsaved(&mut gate, Request::Retire { revision: 1 }).await.is_some());
    assert!(echoes(&mapping).await.is_err());
}

#[tokio::test]
async fn a_retired_gate_forgets_everything_and_accepts_no_change() {
    let mapping = to(echo().await);
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1"]).await;
    gate.session.request(&Request::Retire { revision: 1 }).await.unwrap();
    assert!(echoes(&mapping).await.is_err());
    assert_eq!(gate.change(1, vec![mapping], Vec::new()).await, Err(Refusal::Retired));
    assert!(!paths(&gate.directory).state().exists());
    gate.session.request(&Request::Retire { revision: 1 }).await.unwrap();
}

#[tokio::test]
async fn a_cluster_without_an_address_is_told_as_stopped() {
    let mapping = to(Port::new(1).unwrap());
    let mut gate = gate(vec![mapping.clone()], &[]).await;
    let status = gate.status().await;
    assert_eq!(status.mappings[0].state, MappingState::NoBackend { why: NoBackend::ClusterStopped });
    assert!(echoes(&mapping).await.is_err());
    assert_eq!(gate.status().await.mappings[0].counters.connections_failed, 1);
}

#[tokio::test]
async fn a_probe_tries_each_backend_and_a_stranger_is_refused() {
    let mapping = to(echo().await);
    let mut gate = gate(vec![mapping.clone()], &["127.0.0.1", "127.0.0.2"]).await;
    let probe = |local| Request::Probe(Probe { local, datagram: Vec::new(), timeout: PATIENCE });
    let Response::Probed { results } = gate.session.request(&probe(mapping.local.clone())).await.unwrap() else {
        panic!("not probed")
    };
    let outcomes: Vec<_> = results.into_iter().map(|result| result.outcome).collect();
    assert_eq!(outcomes, [ProbeOutcome::Answered, ProbeOutcome::Refused]);
    let stranger = to(Port::new(1).unwrap()).local;
    let refused = gate.session.request(&probe(stranger)).await;
    assert!(matches!(refused, Err(ClientError::Refused(Refusal::NotOpen { .. }))));
}

#[tokio::test]
async fn nonsense_is_refused_and_the_conversation_goes_on() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut gate = gate(Vec::new(), &[]).await;
    let mut stream = BufReader::new(UnixStream::connect(paths(&gate.directory).socket()).await.unwrap());
    stream.write_all(b"nonsense\n{\"request\":\"status\"}\n").await.unwrap();
    let mut lines = stream.lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("malformed"));
    assert!(lines.next_line().await.unwrap().unwrap().contains("\"response\":\"status\""));
    assert_eq!(gate.status().await.mappings, []);
}

#[tokio::test]
async fn a_gate_without_a_state_file_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let paths = paths(&directory);
    let (state, socket) = (paths.state(), paths.socket());
    let settings = Settings { place: place(), state, socket, limits: Limits::default(), worker: None };
    assert!(matches!(run(settings).await, Err(GateError::NoState(_))));
}
