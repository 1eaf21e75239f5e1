//! A gate's whole life in a real engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::lab::{Lab, free_port, lab, published};
use futures_util::TryStreamExt;
use portgate_core::mapping::{Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_core::state::GateState;
use portgate_docker::gate::{ControlError, Error, GateContainer, LogOptions, Output, RunState};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

async fn only_gate(lab: &Lab) -> GateContainer {
    let mut gates = lab.engine.gates(Some(&lab.cluster())).await.unwrap();
    assert_eq!(gates.len(), 1);
    gates.remove(0)
}

/// Waits for the stand-in's last words before it listens.
async fn ready(lab: &Lab) -> Vec<(Output, String)> {
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut log = Box::pin(lab.engine.logs(&lab.name, options));
    let mut lines = Vec::new();
    while lines.len() < 2 {
        let chunk = timeout(Duration::from_secs(20), log.try_next()).await.unwrap().unwrap().unwrap();
        lines.push((chunk.output, String::from_utf8_lossy(&chunk.bytes).into_owned()));
    }
    lines
}

async fn tcp_echo(address: IpAddr, port: Port) -> Vec<u8> {
    let mut stream = TcpStream::connect(SocketAddr::new(address, port.number())).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn udp_echo(address: IpAddr, port: Port) -> Vec<u8> {
    let wildcard = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(wildcard).await.unwrap();
    socket.connect(SocketAddr::new(address, port.number())).await.unwrap();
    socket.send(b"hello").await.unwrap();
    let mut buffer = [0; 64];
    let length = timeout(Duration::from_secs(10), socket.recv(&mut buffer)).await.unwrap().unwrap();
    buffer[..length].to_vec()
}

#[tokio::test]
async fn a_gate_publishes_exactly_its_ports_on_both_loopback_addresses() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let port = free_port();
    let ports = vec![published(port, Protocol::Tcp), published(port, Protocol::Udp)];
    lab.engine.create_gate(&lab.gate(ports.clone())).await.unwrap();
    let target = Target::NodePort { port };
    let mappings = ports.iter().map(|local| Mapping { local: local.clone(), target: target.clone() }).collect();
    lab.engine.write_state(&lab.name, &GateState::new(lab.cluster(), Vec::new(), mappings)).await.unwrap();
    assert_eq!(lab.engine.publisher_of(&ports[0]).await.unwrap(), None);

    lab.engine.start(&lab.name).await.unwrap();
    ready(&lab).await;
    for address in LOOPBACK {
        assert_eq!(tcp_echo(address, port).await, b"hello");
        assert_eq!(udp_echo(address, port).await, b"hello");
    }
    assert_eq!(only_gate(&lab).await.published, ports);
    assert_eq!(lab.engine.publisher_of(&ports[1]).await.unwrap(), Some(lab.name.clone()));
}

#[tokio::test]
async fn a_gate_keeps_its_state_before_its_first_start_and_after_its_end() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let state = GateState::new(lab.cluster(), Vec::new(), Vec::new());
    lab.engine.create_gate(&lab.gate(Vec::new())).await.unwrap();
    assert_eq!(only_gate(&lab).await.state, RunState::Created);
    assert_eq!(lab.engine.read_state(&lab.name).await.unwrap(), None);

    lab.engine.write_state(&lab.name, &state).await.unwrap();
    assert_eq!(lab.engine.read_state(&lab.name).await.unwrap().as_ref(), Some(&state));

    lab.engine.start(&lab.name).await.unwrap();
    let length = serde_json::to_vec(&state).unwrap().len();
    assert!(ready(&lab).await.contains(&(Output::Stdout, format!("state of {length} bytes\n"))));
    assert_eq!(only_gate(&lab).await.state, RunState::Running);

    lab.engine.restart(&lab.name, Duration::ZERO).await.unwrap();
    lab.engine.stop(&lab.name, Duration::ZERO).await.unwrap();
    assert_eq!(only_gate(&lab).await.state, RunState::Exited { status: 137 });
    assert_eq!(lab.engine.read_state(&lab.name).await.unwrap(), Some(state));

    lab.engine.remove(&lab.name, false).await.unwrap();
    lab.engine.remove(&lab.name, false).await.unwrap();
    assert_eq!(lab.engine.read_state(&lab.name).await.unwrap(), None);
    assert!(!lab.engine.ensure_volume(&lab.name, [].into()).await.unwrap());
    lab.engine.remove_volume(&lab.name).await.unwrap();
    assert!(lab.engine.ensure_volume(&lab.name, [].into()).await.unwrap());
}

#[tokio::test]
async fn a_session_carries_lines_and_keeps_standard_error_apart() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.engine.create_gate(&lab.gate(Vec::new())).await.unwrap();
    let stopped = lab.engine.control(&lab.name).await.err().unwrap();
    assert!(matches!(stopped, ControlError::NotRunning { .. }));

    lab.engine.start(&lab.name).await.unwrap();
    let mut session = lab.engine.control(&lab.name).await.unwrap();
    let long = "x".repeat(1 << 20);
    for line in ["{}", &long, "[]"] {
        session.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        timeout(Duration::from_secs(10), session.read_line(&mut answer)).await.unwrap().unwrap();
        assert!(answer.trim_end() == line);
    }
}

#[tokio::test]
async fn a_session_that_fails_says_why() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.engine.create_gate(&lab.gate(Vec::new())).await.unwrap();
    lab.engine.start(&lab.name).await.unwrap();
    let mut session = lab.engine.control(&lab.name).await.unwrap();
    session.write_all(b"fail\n").await.unwrap();
    let mut answer = String::new();
    assert_eq!(timeout(Duration::from_secs(10), session.read_line(&mut answer)).await.unwrap().unwrap(), 0);
    let failure = session.failure().await.to_string();
    assert_eq!(failure, format!("{} does not answer (exit status 3): asked to fail", lab.name));
}

#[tokio::test]
async fn what_stands_in_a_gates_way_is_named() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let spec = lab.gate(Vec::new());
    let mut lost = spec.clone();
    lost.network.push_str("-gone");
    assert!(matches!(lab.engine.create_gate(&lost).await, Err(Error::NoNetwork { .. })));

    let mut bare = spec.clone();
    bare.image.push_str("-gone");
    assert!(matches!(lab.engine.create_gate(&bare).await, Err(Error::NoImage { .. })));

    lab.engine.create_gate(&spec).await.unwrap();
    assert!(matches!(lab.engine.create_gate(&spec).await, Err(Error::NameTaken { .. })));
}

#[tokio::test]
async fn a_log_can_be_read_from_its_end_with_times() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    lab.engine.create_gate(&lab.gate(vec![published(free_port(), Protocol::Tcp)])).await.unwrap();
    lab.engine.start(&lab.name).await.unwrap();
    ready(&lab).await;
    let options = LogOptions { tail: Some(1), timestamps: true, ..LogOptions::default() };
    let log: Vec<_> = lab.engine.logs(&lab.name, options).try_collect().await.unwrap();
    let [line] = log.as_slice() else { panic!("one line") };
    let line = String::from_utf8_lossy(&line.bytes).into_owned();
    assert!(line.split_once(' ').unwrap().0.parse::<jiff::Timestamp>().is_ok(), "{line}");
}
