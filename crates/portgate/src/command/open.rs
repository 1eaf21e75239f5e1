use std::net::IpAddr;

use portgate_core::cluster::Cluster;
use portgate_core::mapping::{HostAddresses, Mapping};
use portgate_core::spec::TargetSpec;
use portgate_core::suggest;
use portgate_docker::engine::Engine;

use crate::args::OpenArguments;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::opening::{Opening, Planned};
use crate::trial::{Trial, Verdict};
use crate::view;
use crate::{choice, host_port};

/// How many ports are opened without asking.
const MANY: usize = 256;

/// Opens ports on a cluster, and tests them.
pub(crate) async fn open(arguments: OpenArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let bind = bind(&arguments.bind);
    let mut mappings: Vec<Mapping> = Vec::new();
    for spec in &arguments.ports {
        mappings.extend(spec.mappings(&bind)?);
    }
    if mappings.len() > MANY && !arguments.yes && !arguments.dry_run {
        return Err(Failure::Many { count: mappings.len() });
    }
    let found = async {
        let engine = choice::engine().await?;
        let (info, cluster) =
            tokio::try_join!(async { Ok(engine.info().await?) }, choice::cluster(&engine, &arguments.cluster))?;
        Ok((engine, info, cluster))
    };
    let (engine, info, cluster) = interrupt.abandon(found).await?;
    if !cluster.is_running() {
        return Err(choice::stopped_failure(&cluster));
    }
    check_containers(&engine, &arguments, &cluster).await?;
    let opening = Opening { engine: &engine, info: &info, cluster: &cluster, image: &arguments.image, interrupt };
    if arguments.dry_run {
        let planned = interrupt.abandon(opening.plan(&mappings)).await?;
        opening.check_host_ports(&planned).await?;
        for line in planned.lines() {
            view::line(line)?;
        }
        note_open(&planned);
        return Ok(());
    }
    let prove = arguments.wait || !arguments.no_wait;
    let (planned, trials) = opening.open(&mappings, prove).await?;
    warn(&mappings, info.local, &info.name);
    note_open(&planned);
    report(&arguments, &trials)
}

fn note_open(planned: &Planned) {
    for mapping in &planned.open_already {
        view::note(format!("{mapping} is open already"));
    }
}

fn bind(addresses: &[IpAddr]) -> HostAddresses {
    HostAddresses::try_from(addresses.to_vec()).unwrap_or_else(|_| host_port::loopback())
}

/// Prints the outcome of the tests. A port that cannot be reached stays open, and makes the command fail.
fn report(arguments: &OpenArguments, trials: &[Trial]) -> Result<(), Failure> {
    view::print(arguments.output.output, trials)?;
    let broken = trials.iter().filter(|trial| trial.verdict == Verdict::Broken).count();
    if broken > 0 { Err(Failure::Unproven { broken, opened: trials.len() }) } else { Ok(()) }
}

/// The containers that targets name must be on the cluster's network.
async fn check_containers(engine: &Engine, arguments: &OpenArguments, cluster: &Cluster) -> Result<(), Failure> {
    let named: Vec<&String> = arguments
        .ports
        .iter()
        .filter_map(|spec| match &spec.target {
            TargetSpec::Node { container, .. } => Some(container),
            _ => None,
        })
        .collect();
    if named.is_empty() {
        return Ok(());
    }
    let known = engine.containers_on(&cluster.network).await?;
    match named.into_iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) if cluster.nodes.iter().any(|node| node.name == *name) => {
            Err(Failure::NodeStopped { node: name.clone() })
        }
        Some(name) => Err(Failure::UnknownContainer {
            name: name.clone(),
            network: cluster.network.clone(),
            nearest: suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned),
            known,
        }),
    }
}

/// Warns of what may surprise.
fn warn(mappings: &[Mapping], local: bool, engine: &str) {
    if let Some(open) = mappings.iter().find(|mapping| !mapping.local.addresses.is_local()) {
        view::warning(format!(
            "{} can be reached from other machines, whatever ufw says: Docker's own rules come before ufw's",
            open.local
        ));
    }
    if !local {
        view::warning(format!("the Docker engine runs on {engine}: the ports are opened there, not on this machine"));
    }
}
