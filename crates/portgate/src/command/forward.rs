use std::collections::BTreeSet;

use portgate_core::forward::Forward;
use portgate_core::kubernetes::ObjectKey;
use portgate_core::mapping::{Local, Mapping};
use portgate_core::plan;
use portgate_core::port::Protocol;
use portgate_core::spec::Ground;
use portgate_gate::client::Session;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{Asked, ForwardArguments, LocalPort};
use crate::failure::Failure;
use crate::forwarding::{Forwarding, free_port};
use crate::interrupt::Interrupt;
use crate::kubernetes;
use crate::process_gate;
use crate::trial::Verdict;
use crate::view;

/// Forwards ports through the Kubernetes API server, until Ctrl-C or in the background.
pub(crate) async fn forward(arguments: ForwardArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let asked = arguments.asked()?;
    let addresses = arguments.addresses()?;
    let (cluster, server) = interrupt.abandon(kubernetes::of_user(&arguments.api, &arguments.cluster)).await?;
    let keys: BTreeSet<ObjectKey> = asked.iter().filter_map(|asked| asked.spec.object(&server.namespace)).collect();
    let objects = interrupt.abandon(server.look_up(&keys)).await?;
    let ground = Ground { addresses: &addresses, namespace: &server.namespace, objects: &objects };
    let mappings = asked.iter().map(|asked| mapping(asked, ground)).collect::<Result<Vec<_>, _>>()?;
    let mappings = plan::with(&[], &mappings)?;
    let forward = Forward { access: server.access, sticky: arguments.sticky, patience: arguments.wait_for_pod };
    let forwarding = Forwarding { cluster, mappings, objects, forward };
    interrupt.abandon(forwarding.check()).await?;
    if arguments.detach {
        return detach(&forwarding, interrupt).await;
    }
    attend(&forwarding).await
}

/// The one mapping that a target and a port of it mean.
fn mapping(asked: &Asked, ground: Ground<'_>) -> Result<Mapping, Failure> {
    let all = asked.spec.wanted(ground)?;
    let target = all.first().map(|wanted| wanted.target.clone());
    let tcp = all.into_iter().find(|wanted| wanted.protocol == Protocol::Tcp);
    let Some(wanted) = tcp else {
        return Err(target.map_or(Failure::NoCluster, |target| Failure::UdpByApi { target }));
    };
    let port = match asked.local {
        LocalPort::Port(port) => port,
        LocalPort::Any => free_port(ground.addresses)?,
        LocalPort::Same => wanted.advice.port.ok_or(Failure::NoCluster)?,
    };
    let local = Local { addresses: wanted.addresses, port, protocol: Protocol::Tcp };
    Ok(Mapping { local, target: wanted.target })
}

async fn detach(forwarding: &Forwarding, interrupt: &Interrupt) -> Result<(), Failure> {
    let (name, trials) = forwarding.detach(interrupt, true).await?;
    tell(forwarding)?;
    view::note(format!("{name} goes on in the background; `portgate close` or `portgate down` ends it"));
    let broken = trials.iter().filter(|trial| trial.verdict == Verdict::Broken);
    for trial in broken.clone() {
        view::warning(format!("{}: {}", trial.local, trial.summary()));
    }
    match broken.count() {
        0 => Ok(()),
        broken => Err(Failure::Unproven { broken, opened: trials.len() }),
    }
}

/// Runs the gate within this process, which Ctrl-C ends.
async fn attend(forwarding: &Forwarding) -> Result<(), Failure> {
    view::log(LevelFilter::WARN);
    let paths = forwarding.prepare(false)?;
    let told = async {
        Session::connect(&paths.socket(), process_gate::PATIENCE).await?;
        tell(forwarding)
    };
    let gate = portgate_gate::run(process_gate::settings(&paths));
    let mut gate = std::pin::pin!(gate);
    let ended = tokio::select! {
        ended = &mut gate => ended.map(drop).map_err(Failure::from),
        told = told => match told {
            Ok(()) => gate.await.map(drop).map_err(Failure::from),
            Err(failure) => Err(failure),
        },
    };
    process_gate::forget(&paths)?;
    ended
}

/// Says what kubectl says, and which pods are behind it.
fn tell(forwarding: &Forwarding) -> Result<(), Failure> {
    for mapping in &forwarding.mappings {
        let port = forwarding.remote_port(mapping);
        for socket in mapping.local.sockets() {
            view::line(format!("Forwarding from {socket} -> {port}"))?;
        }
        match forwarding.pods(mapping).as_slice() {
            [] => view::note(format!("{}: no pod is ready yet; connections wait for one", mapping.target)),
            [pod] => view::note(format!("{}: pod/{pod}", mapping.target)),
            [pod, others @ ..] => {
                view::note(format!("{}: pod/{pod} and {}", mapping.target, view::count(others.len(), "other")));
            }
        }
    }
    Ok(())
}
