use std::net::IpAddr;

use portgate_core::cluster::Cluster;
use portgate_core::mapping::{HostAddresses, Mapping};
use portgate_core::spec::TargetSpec;
use portgate_core::status::Placement;
use portgate_core::suggest;
use portgate_docker::engine::Engine;

use crate::args::OpenArguments;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::opening::{Opening, Planned};
use crate::trial::{Trial, Verdict};
use crate::view;
use crate::{choice, host_port};

/// How many ports Docker publishes without asking.
const MANY: usize = 256;

/// Opens ports on a cluster, and tests them.
pub(crate) async fn open(arguments: OpenArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let bind = bind(&arguments.bind);
    let mut mappings: Vec<Mapping> = Vec::new();
    for spec in &arguments.ports {
        mappings.extend(spec.mappings(&bind)?);
    }
    let found = async {
        let engine = choice::engine().await?;
        let cluster = choice::cluster(&engine, &arguments.cluster).await?;
        Ok((engine, cluster))
    };
    let (engine, cluster) = interrupt.abandon(found).await?;
    if !cluster.is_running() {
        return Err(choice::stopped_failure(&cluster));
    }
    check_containers(&engine, &arguments, &cluster).await?;
    let opening = Opening {
        engine: &engine,
        cluster: &cluster,
        placement: arguments.placement,
        datapath: arguments.datapath,
        image: &arguments.image,
        interrupt,
    };
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
    let most = if arguments.yes { usize::MAX } else { MANY };
    let (planned, trials) = opening.open(&mappings, prove, most).await?;
    warn(&mappings, &planned, &engine).await?;
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
async fn warn(mappings: &[Mapping], planned: &Planned, engine: &Engine) -> Result<(), Failure> {
    if let Some(open) = mappings.iter().find(|mapping| !mapping.local.addresses.is_local()) {
        let firewall = match planned.site.placement {
            Placement::Published => ", whatever ufw says: Docker's own rules come before ufw's",
            Placement::Host | Placement::Process => ", if this machine's firewall lets them",
        };
        view::warning(format!("{} can be reached from other machines{firewall}", open.local));
    }
    if !engine.endpoint().is_local() {
        let name = engine.info().await?.name;
        view::warning(format!("the Docker engine runs on {name}: the ports are opened there, not on this machine"));
    }
    Ok(())
}
