//! Gates in the host's network, and published ones that programme the kernel: what they may do and what not.

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use crate::lab::{Lab, free_port, lab, published};
use portgate_core::port::Protocol;
use portgate_core::state::GateState;
use portgate_core::status::{Datapath, Placement};
use portgate_docker::gate::{GATE_DOCKER_SOCKET, GateForm, HOST_RUN_DIRECTORY, HostForm, Session, state_path};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// A setting of IPv4 that exists in each network, and one of the machine.
const FORWARDING: &str = "/proc/sys/net/ipv4/conf/all/route_localnet";
const MACHINE: [&str; 4] =
    ["/proc/sys/kernel/hostname", "/proc/sys/vm/swappiness", "/proc/sys/fs/file-max", "/proc/sys/net/core/somaxconn"];

/// A laboratory whose engine can have gates in the host's network.
async fn native_lab() -> Option<Lab> {
    let lab = lab().await?;
    if let Some(why) = lab.engine.info().await.unwrap().why_not_host() {
        eprintln!("SKIPPED: {why}");
        return None;
    }
    Some(lab.furnished().await)
}

fn socket_group(lab: &Lab) -> u32 {
    std::fs::metadata(lab.engine.socket_path().unwrap()).unwrap().gid()
}

fn host_form(lab: &Lab, datapath: Datapath) -> GateForm {
    let docker_socket = lab.engine.socket_path().unwrap().to_owned();
    let control_socket = "/run/portgate/test/control.sock".into();
    GateForm::Host(HostForm { docker_socket, control_socket, socket_group: socket_group(lab), datapath })
}

/// A gate of this form that runs, with a state, and a session with it.
async fn started(lab: &Lab, form: GateForm) -> Session {
    let mut spec = lab.gate(Vec::new());
    spec.form = form;
    lab.engine.create_gate(&spec).await.unwrap();
    let state = GateState::new(lab.cluster(), Vec::new(), Vec::new());
    lab.engine.write_state(&lab.name, &state).await.unwrap();
    lab.engine.start(&lab.name).await.unwrap();
    lab.engine.control(&lab.name).await.unwrap()
}

async fn outcome(session: &mut Session, trial: &str) -> String {
    session.write_all(format!("try {trial}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(Duration::from_secs(10), session.read_line(&mut answer)).await.unwrap().unwrap();
    answer.trim_end().to_owned()
}

#[tokio::test]
async fn a_gate_on_the_host_may_do_its_work_and_no_more() {
    let Some(lab) = native_lab().await else { return };
    let mut session = started(&lab, host_form(&lab, Datapath::Kernel)).await;
    let (state, group) = (state_path(&lab.name), socket_group(&lab));
    let (mine, control) = (format!("{state}.mine"), format!("{HOST_RUN_DIRECTORY}/{}", lab.name));
    let allowed = [
        format!("write {FORWARDING}"),
        format!("read {state}"),
        format!("create {mine}"),
        format!("create {control}"),
        format!("give {control} {group}"),
        format!("remove {control}"),
        format!("connect {GATE_DOCKER_SOCKET}"),
        format!("listen {}", free_port()),
    ];
    for trial in &allowed {
        assert_eq!(outcome(&mut session, trial).await, "done", "{trial}");
    }
    for path in MACHINE {
        assert_eq!(outcome(&mut session, &format!("write {path}")).await, "read-only filesystem or storage medium");
    }
    assert_eq!(outcome(&mut session, &format!("give {mine} 12345")).await, "permission denied");
    assert_ne!(outcome(&mut session, "create /anything").await, "done");
    assert_ne!(outcome(&mut session, "create /dev/shm/anything").await, "done");

    let gates = lab.engine.gates(Some(&lab.cluster())).await.unwrap();
    assert_eq!((gates[0].placement, gates[0].datapath), (Some(Placement::Host), Datapath::Kernel));
    assert_eq!(lab.engine.containers_on(&lab.name).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_relay_on_the_host_cannot_programme_the_kernel() {
    let Some(lab) = native_lab().await else { return };
    let mut session = started(&lab, host_form(&lab, Datapath::Relay)).await;
    assert_eq!(outcome(&mut session, &format!("write {FORWARDING}")).await, "read-only filesystem or storage medium");
    assert_eq!(outcome(&mut session, &format!("read {}", state_path(&lab.name))).await, "done");
    let gates = lab.engine.gates(Some(&lab.cluster())).await.unwrap();
    assert_eq!(gates[0].datapath, Datapath::Relay);
}

#[tokio::test]
async fn a_published_gate_that_programmes_the_kernel_keeps_its_state() {
    let Some(lab) = lab().await else { return };
    let lab = lab.furnished().await;
    let ports = vec![published(free_port(), Protocol::Tcp)];
    let form = GateForm::Published { ports: ports.clone(), datapath: Datapath::Kernel };
    let mut session = started(&lab, form).await;
    let state = state_path(&lab.name);
    for trial in [format!("read {state}"), format!("create {state}.mine"), "create /run/portgate.sock".to_owned()] {
        assert_eq!(outcome(&mut session, &trial).await, "done", "{trial}");
    }
    let gates = lab.engine.gates(Some(&lab.cluster())).await.unwrap();
    assert_eq!((gates[0].placement, gates[0].datapath), (Some(Placement::Published), Datapath::Kernel));
    assert_eq!(gates[0].published, ports);
}
