use std::net::{IpAddr, Ipv4Addr};

use portgate_core::cluster::{Cluster, ClusterId, Provider};
use portgate_core::control::Detail;
use portgate_core::host_port::Wanted;
use portgate_core::kubernetes::Objects;
use portgate_core::limits::ANSWER_TIME;
use portgate_core::mapping::{Local, Mapping, Target};
use portgate_core::port::{Port, Protocol};
use portgate_core::state::{GateState, NodeHost};
use portgate_docker::demo::DemoContainer;
use portgate_docker::engine::{Engine, EngineInfo};
use portgate_docker::image::REPOSITORY;
use portgate_gate::paths::ProcessPaths;

use crate::args::{DemoArguments, Format, ImageArguments};
use crate::demo_node::Ports;
use crate::failure::Failure;
use crate::gates::{self, Control, Gate, Gates};
use crate::interrupt::Interrupt;
use crate::opening::Opening;
use crate::trial::{self, Method, Trial};
use crate::view::{self, Progress};
use crate::{choice, host_port, packed, process_gate, removal};

/// The demo's cluster.
const NAME: &str = "portgate-demo";

/// The node's ports: those of the guide's examples.
const NODE: Ports = Ports { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), echo_tcp: 30999, echo_udp: 30998, http: 30080 };

/// How long the demo's own node may take to answer.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(1);

/// Makes a throw-away cluster and opens its ports, or removes it.
pub(crate) async fn demo(arguments: DemoArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let engine = interrupt.abandon(async { Ok(choice::engine().await) }).await?;
    if arguments.down {
        return remove(engine.ok().as_ref()).await;
    }
    let outcome = match &engine {
        Ok(engine) => with_engine(engine, &arguments.image, interrupt).await,
        Err(failure) => {
            view::note(format!("{failure}: the demo runs as a process of yours, on loopback."));
            interrupt.abandon(as_process()).await
        }
    };
    if outcome.is_err() {
        remove(engine.ok().as_ref()).await?;
    }
    let trials = outcome?;
    view::print(Format::Table, &trials)?;
    next_steps(&trials).iter().for_each(view::note);
    Ok(())
}

async fn with_engine(engine: &Engine, image: &ImageArguments, interrupt: &Interrupt) -> Result<Vec<Trial>, Failure> {
    let info = engine.info().await?;
    if find(engine).await?.is_none() {
        make(engine, &info, image, interrupt).await?;
    }
    let cluster = find(engine).await?.ok_or_else(|| Failure::UnknownCluster {
        name: NAME.to_owned(),
        nearest: None,
        known: Vec::new(),
    })?;
    let gates = Gates { engine: Some(engine.clone()), list: gates_of(engine, &cluster.id).await? };
    if let Some(trials) = running(gates).await? {
        view::note("The demo runs already.");
        return Ok(trials);
    }
    let objects = Objects::default();
    let opening =
        Opening { engine, cluster: &cluster, placement: None, datapath: None, image, interrupt, objects: &objects };
    let wanted: Vec<Wanted> = mappings(&NODE).into_iter().map(Wanted::from).collect();
    let (_, trials) = opening.open(&wanted, true, usize::MAX).await?;
    Ok(trials)
}

async fn find(engine: &Engine) -> Result<Option<Cluster>, Failure> {
    Ok(engine.clusters().await?.into_iter().find(|cluster| cluster.id == id()))
}

async fn gates_of(engine: &Engine, cluster: &ClusterId) -> Result<Vec<Gate>, Failure> {
    Ok(engine.gates(Some(cluster)).await?.into_iter().map(Gate::Container).collect())
}

/// Makes the network and the node.
async fn make(
    engine: &Engine,
    info: &EngineInfo,
    image: &ImageArguments,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let image = packed::image(engine, info, image, interrupt).await?;
    let _progress = Progress::start("Making a cluster");
    interrupt.check()?;
    let network = format!("k3d-{NAME}");
    engine.create_demo_network(NAME, &network).await?;
    let labels = [("app", "k3d"), ("k3d.cluster", NAME), ("k3d.cluster.network", &network), ("k3d.role", "server")];
    let node = DemoContainer {
        name: format!("k3d-{NAME}-server-0"),
        image,
        command: ["gate", "node", &NODE.to_string()].map(str::to_owned).to_vec(),
        labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        network,
    };
    Ok(engine.start_demo_container(NAME, &node).await?)
}

fn id() -> ClusterId {
    ClusterId { provider: Provider::K3d, name: NAME.to_owned() }
}

/// A demo that runs already is tried again.
async fn running(gates: Gates) -> Result<Option<Vec<Trial>>, Failure> {
    let from_host = match &gates.engine {
        Some(engine) => engine.info().await?.local,
        None => true,
    };
    let mut trials = Vec::new();
    for report in gates.reports(Detail::Brief, ANSWER_TIME).await? {
        let (_, status, mut control) = report.live()?;
        let method = Method { from_host, timeout: TIMEOUT, exchange: None };
        trials.extend(trial::run(&mut control, &status.mappings, &method).await?);
    }
    Ok((!trials.is_empty()).then_some(trials))
}

/// Without an engine: gate and node are one process.
async fn as_process() -> Result<Vec<Trial>, Failure> {
    let paths = ProcessPaths::new(&process_gate::directory(), &id().gate_name());
    let gate = Gate::Process { name: id().gate_name(), cluster: id(), paths: paths.clone() };
    if Control::connect(None, &gate).await.is_err() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let node = Ports {
            address: host,
            echo_tcp: free(31999, Protocol::Tcp),
            echo_udp: free(31998, Protocol::Udp),
            http: free(31080, Protocol::Tcp),
        };
        let nodes = vec![NodeHost { name: format!("k3d-{NAME}-server-0"), host: host.to_string() }];
        process_gate::save(&paths, &GateState::new(id(), nodes, mappings(&node)))?;
        process_gate::start(&paths, Some(node)).await?;
    }
    let trials = running(Gates { engine: None, list: vec![gate] }).await?;
    trials.ok_or(Failure::NothingOpen { cluster: Some(NAME.to_owned()) })
}

/// From the guide's ports, or the next that are free on this host, to those of the node.
fn mappings(node: &Ports) -> Vec<Mapping> {
    let addresses = host_port::loopback();
    let mapping = |host: u16, protocol, node: u16| {
        let (host, node) = (Port::new(free(host, protocol))?, Port::new(node)?);
        let local = Local { addresses: addresses.clone(), port: host, protocol };
        Some(Mapping { local, target: Target::NodePort { port: node } })
    };
    let mappings = [
        mapping(NODE.http, Protocol::Tcp, node.http),
        mapping(NODE.echo_udp, Protocol::Udp, node.echo_udp),
        mapping(NODE.echo_tcp, Protocol::Tcp, node.echo_tcp),
    ];
    mappings.into_iter().flatten().collect()
}

/// The first port from this one on that is free on loopback.
fn free(first: u16, protocol: Protocol) -> u16 {
    (first..=u16::MAX).find(|port| host_port::is_free_on_loopback(*port, protocol)).unwrap_or(first)
}

/// What the user may try: the node's highest TCP port echoes, its lowest speaks HTTP.
fn next_steps(trials: &[Trial]) -> Vec<String> {
    let tcp = |trial: &&Trial| trial.local.protocol == Protocol::Tcp;
    let port = |trial: Option<&Trial>| trial.map_or(0, |trial| trial.local.port.number());
    let by_target = |trial: &&Trial| trial.target.clone();
    let echo = port(trials.iter().filter(tcp).max_by_key(by_target));
    let http = port(trials.iter().filter(tcp).min_by_key(by_target));
    let datagrams = port(trials.iter().find(|trial| !tcp(trial)));
    let steps = [
        (format!("portgate test {echo} --send hello"), "TCP, comes back"),
        (format!("portgate test {datagrams}/udp --send hello"), "UDP, comes back"),
        (format!("curl -v http://localhost:{http}/admin/user"), "HTTP"),
        ("portgate ls".to_owned(), "what is open, and what it carried"),
        ("portgate demo --down".to_owned(), "remove the demo"),
    ];
    let lines = steps.iter().map(|(command, what)| format!("  {command:<42} {what}"));
    [String::new(), "Try next:".to_owned()].into_iter().chain(lines).collect()
}

/// Removes the demo's gates, then its node and network.
async fn remove(engine: Option<&Engine>) -> Result<(), Failure> {
    let _progress = Progress::start("Removing the demo");
    let mut list = gates::processes();
    list.retain(|gate| *gate.cluster() == id());
    if let Some(engine) = engine {
        list.extend(gates_of(engine, &id()).await?);
    }
    let gates = Gates { engine: engine.cloned(), list };
    removal::remove(&id(), &gates).await?;
    if gates.list.is_empty() {
        view::note("No demo runs.");
    }
    if let Some(engine) = engine {
        engine.remove_demo(NAME).await.map_err(Failure::Several)?;
        engine.remove_old_images(&format!("{REPOSITORY}:none")).await?;
    }
    Ok(())
}
