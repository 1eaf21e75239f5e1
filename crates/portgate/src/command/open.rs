use std::net::IpAddr;

use portgate_core::cluster::Cluster;
use portgate_core::forward::{self, Forward};
use portgate_core::host_port::{self, Wanted};
use portgate_core::kubernetes::Objects;
use portgate_core::mapping::{HostAddresses, Mapping};
use portgate_core::plan;
use portgate_core::spec::{self, Ground, TargetSpec};
use portgate_core::status::Placement;
use portgate_core::suggest;
use portgate_docker::engine::Engine;

use crate::args::{OpenArguments, ViaArgument};
use crate::failure::Failure;
use crate::forwarding::Forwarding;
use crate::interrupt::Interrupt;
use crate::kubernetes::{self, Server};
use crate::opening::{Opening, Planned};
use crate::trial::{Trial, Verdict};
use crate::view;
use crate::{choice, host_port as ports};

/// How many ports Docker publishes without asking.
const MANY: usize = 256;

/// Opens ports on a cluster, and tests them.
pub(crate) async fn open(arguments: OpenArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let bind = bind(&arguments.bind);
    if arguments.via == ViaArgument::Api {
        return through_api(&arguments, &bind, interrupt).await;
    }
    let found = async {
        let engine = choice::engine().await?;
        let cluster = choice::cluster(&engine, &arguments.cluster).await?;
        if !cluster.is_running() {
            return Err(choice::stopped_failure(&cluster));
        }
        check_containers(&engine, &arguments, &cluster).await?;
        let needs_api = arguments.all || arguments.ports.iter().any(|spec| spec.object("").is_some());
        let server = if needs_api { Some(kubernetes::of_cluster(&cluster, &arguments.api).await?) } else { None };
        let (wanted, objects) = wanted(&arguments, &bind, server.as_ref()).await?;
        Ok((engine, cluster, wanted, objects))
    };
    let (engine, cluster, wanted, objects) = interrupt.abandon(found).await?;
    let opening = Opening {
        engine: &engine,
        cluster: &cluster,
        placement: arguments.placement,
        datapath: arguments.datapath,
        image: &arguments.image,
        interrupt,
        objects: &objects,
    };
    if arguments.dry_run {
        let planned = interrupt.abandon(opening.plan(&wanted)).await?;
        opening.check_host_ports(&planned).await?;
        for line in planned.lines() {
            view::line(line)?;
        }
        note(&planned);
        return Ok(());
    }
    let most = if arguments.yes { usize::MAX } else { MANY };
    let (planned, trials) = opening.open(&wanted, arguments.proves(), most).await?;
    warn(&planned.mappings, planned.site.placement);
    warn_of_distance(&engine).await?;
    note(&planned);
    report(&arguments, &trials)
}

/// Opens ports by a process that leads through the Kubernetes API server.
async fn through_api(arguments: &OpenArguments, bind: &HostAddresses, interrupt: &Interrupt) -> Result<(), Failure> {
    let found = async {
        let (cluster, server) = kubernetes::of_user(&arguments.api, &arguments.cluster).await?;
        let (wanted, objects) = wanted(arguments, bind, Some(&server)).await?;
        let mappings = host_port::assign(wanted, &[], ports::is_free)?;
        let mappings = plan::with(&[], &mappings)?;
        let forward = Forward { access: server.access, sticky: false, patience: forward::PATIENCE };
        let forwarding = Forwarding { cluster, mappings, objects, forward };
        forwarding.check().await?;
        Ok(forwarding)
    };
    let forwarding = interrupt.abandon(found).await?;
    let (_, trials) = forwarding.detach(interrupt, arguments.proves()).await?;
    warn(&forwarding.mappings, Placement::Process);
    report(arguments, &trials)
}

/// What the arguments mean, and what is known of the objects that they name.
async fn wanted(
    arguments: &OpenArguments,
    bind: &HostAddresses,
    server: Option<&Server>,
) -> Result<(Vec<Wanted>, Objects), Failure> {
    let namespace = server.map(|server| server.namespace.as_str()).unwrap_or_default();
    if let (true, Some(server)) = (arguments.all, server) {
        let (within, selector) = (arguments.api.namespace.as_deref(), arguments.selector.as_deref());
        let objects = server.api.services(within, selector).await?;
        let every = |(key, service)| spec::every_port(key, service, bind);
        let wanted: Vec<Wanted> = objects.services.iter().flat_map(every).collect();
        if wanted.is_empty() {
            let (selector, namespace) = (selector.map(str::to_owned), within.map(str::to_owned));
            return Err(Failure::NoServices { selector, namespace });
        }
        return Ok((wanted, objects));
    }
    let keys = arguments.ports.iter().filter_map(|spec| spec.object(namespace)).collect();
    let objects = match server {
        Some(server) => server.look_up(&keys).await?,
        None => Objects::default(),
    };
    let ground = Ground { addresses: bind, namespace, objects: &objects };
    let mut wanted = Vec::new();
    for spec in &arguments.ports {
        wanted.extend(spec.wanted(ground)?);
    }
    Ok((wanted, objects))
}

fn note(planned: &Planned) {
    for mapping in &planned.open_already {
        view::note(format!("{mapping} is open already"));
    }
    if let Some(target) = &planned.needs_route {
        view::note(format!(
            "{target} has no node port: its gate has the capability NET_ADMIN, for a route in its own network namespace"
        ));
    }
}

fn bind(addresses: &[IpAddr]) -> HostAddresses {
    HostAddresses::try_from(addresses.to_vec()).unwrap_or_else(|_| ports::loopback())
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

/// Warns of ports that others can reach.
fn warn(mappings: &[Mapping], placement: Placement) {
    if let Some(open) = mappings.iter().find(|mapping| !mapping.local.addresses.is_local()) {
        let firewall = match placement {
            Placement::Published => ", whatever ufw says: Docker's own rules come before ufw's",
            Placement::Host | Placement::Process => ", if this machine's firewall lets them",
        };
        view::warning(format!("{} can be reached from other machines{firewall}", open.local));
    }
}

/// Warns of an engine on another machine.
async fn warn_of_distance(engine: &Engine) -> Result<(), Failure> {
    if !engine.endpoint().is_local() {
        let name = engine.info().await?.name;
        view::warning(format!("the Docker engine runs on {name}: the ports are opened there, not on this machine"));
    }
    Ok(())
}
