use std::collections::BTreeSet;

use portgate_core::cluster::{Cluster, ClusterId};
use portgate_core::control::{Change, Request};
use portgate_core::kubernetes::{ObjectKey, Objects};
use portgate_core::status::GateStatus;
use portgate_docker::engine::Engine;
use portgate_docker::gate::GateContainer;

use crate::apply::{self, GRACE, Ground, node_hosts};
use crate::args::{ApiArguments, RestartArguments};
use crate::failure::Failure;
use crate::gates::{self, Control, Gate};
use crate::interrupt::Interrupt;
use crate::kubernetes;
use crate::packed;
use crate::process_gate;
use crate::site::Site;
use crate::view::{self, Progress};

/// Restarts a cluster's gates. One that was made from another executable is replaced by one made from this.
pub(crate) async fn restart(arguments: RestartArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let found = async {
        let (cluster, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
        gates.list.iter().try_for_each(Gate::check_version)?;
        Ok((cluster, gates))
    };
    let (cluster, gates) = interrupt.abandon(found).await?;
    let mut containers = Vec::new();
    for gate in gates.list {
        match gate {
            Gate::Container(container) => containers.push(container),
            Gate::Process { name, paths, .. } => {
                let status = process_gate::restart(&paths).await?;
                view::note(format!("{name} is restarted, with {}", view::count(status.mappings.len(), "port")));
            }
        }
    }
    if containers.is_empty() {
        return Ok(());
    }
    let engine = &gates.engine.ok_or(Failure::NoCluster)?;
    let info = engine.info().await?;
    let image = packed::image(engine, &info, &arguments.image, interrupt).await?;
    for container in &containers {
        // A gate whose state file is damaged would not come back.
        engine.read_state(&container.name).await?;
    }
    for container in &containers {
        let _progress = Progress::start(format!("Restarting {}", container.name));
        if image == container.image {
            engine.restart(&container.name, GRACE).await?;
        } else {
            let (cluster, network) = (cluster.clone(), container.network.clone());
            let (image, site, objects) = (image.clone(), Site::of(container), Objects::default());
            let ground = Ground { cluster, network, image, site, nodes: None, objects };
            ground.replace(engine, container).await?;
        }
        let status = refresh(engine, &cluster, container).await?;
        view::note(format!("{} is restarted, with {}", container.name, view::count(status.mappings.len(), "port")));
    }
    Ok(())
}

/// Tells the gate which nodes the cluster has by now, unless the cluster is gone.
async fn refresh(engine: &Engine, cluster: &ClusterId, gate: &GateContainer) -> Result<GateStatus, Failure> {
    let mut control = Control::of_container(engine, cluster, Site::of(gate).placement, &gate.name).await?;
    let status = control.status().await?;
    let found = engine.clusters().await?.into_iter().find(|found| found.id == *cluster);
    if let Some(cluster) = found {
        let nodes = Some(node_hosts(&cluster));
        let objects = objects(&cluster, &status).await;
        let machine = Some(Site::of(gate).machine(engine)?);
        let change = Change { revision: status.revision, nodes, objects, machine, ..Change::default() };
        let done = control.request(&Request::Change(change)).await?;
        apply::warn_unsaved(&gate.name, &[], &done);
    }
    Ok(status)
}

/// What there is to know by now of the Kubernetes objects that a gate's mappings name: a gate with published ports has no
/// other way to learn it. Where the API server does not say, what the gate knows stays.
async fn objects(cluster: &Cluster, status: &GateStatus) -> Objects {
    let keys: BTreeSet<ObjectKey> =
        status.mappings.iter().filter_map(|mapping| mapping.target.object().cloned()).collect();
    if keys.is_empty() {
        return Objects::default();
    }
    let found = async {
        let server = kubernetes::of_cluster(cluster, &ApiArguments::default()).await?;
        server.look_up(&keys).await
    };
    found.await.unwrap_or_else(|failure| {
        view::warning(format!("nothing new is known of Services: {failure}"));
        Objects::default()
    })
}
