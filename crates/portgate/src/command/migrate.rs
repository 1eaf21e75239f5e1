use portgate_core::cluster::Cluster;
use portgate_core::control::Detail;
use portgate_core::kubernetes::Objects;
use portgate_core::limits::ANSWER_TIME;
use portgate_docker::engine::Engine;

use crate::args::MigrateArguments;
use crate::failure::Failure;
use crate::gates::{self, Gate, Report};
use crate::interrupt::Interrupt;
use crate::migration::Migration;
use crate::packed;
use crate::site::Site;
use crate::view::{self, Progress};

/// Moves a cluster's ports to another placement or datapath.
pub(crate) async fn migrate(arguments: MigrateArguments, interrupt: &Interrupt) -> Result<(), Failure> {
    let found = async {
        let (id, gates) = gates::find().await?.of_cluster(&arguments.cluster).await?;
        let engine = gates.engine.clone().ok_or(Failure::NoCluster)?;
        let network = gates.list.iter().find_map(Gate::network).cloned().unwrap_or_default();
        let known = engine.clusters().await?.into_iter().find(|cluster| cluster.id == id);
        let nodes = match known {
            Some(cluster) => cluster.nodes,
            None => engine.cluster_on_network(&network).await?.nodes,
        };
        let info = engine.info().await?;
        Ok((Cluster { id, network, nodes }, engine, info, gates.reports(Detail::Brief, ANSWER_TIME).await?))
    };
    let (cluster, engine, info, reports) = interrupt.abandon(found).await?;
    let site = Site::choose(&info, arguments.placement, arguments.datapath)?;
    let elsewhere = |report: &Report| matches!(&report.gate, Gate::Container(it) if Site::of(it) != site);
    let moving: Vec<Report> = reports.into_iter().filter(elsewhere).collect();
    if moving.is_empty() {
        let (placement, datapath) = (site.placement, site.datapath.name());
        view::note(format!("The ports are in {placement} placement, with the {datapath} datapath."));
        return Ok(());
    }
    if arguments.dry_run {
        for report in &moving {
            let ports = view::count(report.mappings().len(), "port");
            let (gate, placement, datapath) = (report.gate.name(), site.placement, site.datapath.name());
            view::line(format!("move {ports} of container {gate} to {placement} placement, {datapath} datapath"))?;
        }
        return Ok(());
    }
    let image = packed::image(&engine, &info, &arguments.image, interrupt).await?;
    let _progress = Progress::start("Moving");
    let objects = interrupt.abandon(known_objects(&engine, &moving)).await?;
    let migration = Migration { engine: &engine, interrupt, cluster: &cluster, site, image, objects };
    let moved = migration.carry_out(moving).await?;
    view::note(format!(
        "{} moved to {} placement, with the {} datapath",
        view::count(moved, "port"),
        site.placement,
        site.datapath.name()
    ));
    Ok(())
}

/// What the gates' state files know of Kubernetes objects: their successors need it until they have asked themselves.
async fn known_objects(engine: &Engine, moving: &[Report]) -> Result<Objects, Failure> {
    let mut objects = Objects::default();
    for report in moving {
        if let Some(state) = engine.read_state(report.gate.name()).await? {
            objects.update(&state.objects);
        }
    }
    Ok(objects)
}
