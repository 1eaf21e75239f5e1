use portgate_core::cluster::{Cluster, ClusterId};
use portgate_core::control::Detail;
use portgate_core::kubernetes::{ObjectKey, Objects, PortName, Service, ServicePort};
use portgate_core::limits::ANSWER_TIME;
use portgate_core::mapping::{Local, Target};
use portgate_core::port::Protocol;
use portgate_core::table::{Addresses, Means, OwnAddresses, Resolution, View};

use crate::args::ServicesArguments;
use crate::choice;
use crate::failure::Failure;
use crate::gates::{self, Report};
use crate::kubernetes::{self, Server};
use crate::site::own_addresses;
use crate::view::{self, Progress, ServiceRow};

/// Lists the Services of a cluster, how they are reached, and where they are open.
pub(crate) async fn services(arguments: ServicesArguments) -> Result<(), Failure> {
    let progress = Progress::start("Asking the Kubernetes API server");
    let (id, local, server) = find(&arguments).await?;
    let (namespace, selector) = (arguments.api.namespace.as_deref(), arguments.selector.as_deref());
    let objects = server.api.services(namespace, selector).await?;
    let open = open(&id).await?;
    drop(progress);
    let ways = Ways::new(local, &objects);
    let rows: Vec<ServiceRow> =
        objects.services.iter().flat_map(|(key, service)| rows(key, service, &ways, &open)).collect();
    if rows.is_empty() {
        view::note("There is no such Service.");
    }
    view::print(arguments.output.output, &rows)
}

/// The local cluster that is meant, and its API server; only the latter, where a context was named that is of no local
/// cluster, or there is no Docker engine.
async fn find(arguments: &ServicesArguments) -> Result<(ClusterId, Option<LocalCluster>, Server), Failure> {
    let local = async {
        let engine = choice::engine().await?;
        let cluster = choice::cluster(&engine, &arguments.cluster).await?;
        Ok(LocalCluster { cluster, own: own_addresses(&engine)? })
    };
    match local.await {
        Ok(local) if local.cluster.is_running() && arguments.api.context.is_none() => {
            let server = kubernetes::of_cluster(&local.cluster, &arguments.api).await?;
            Ok((local.cluster.id.clone(), Some(local), server))
        }
        Err(failure) if arguments.cluster.name().is_some() || arguments.cluster.network.is_some() => Err(failure),
        local => {
            let (id, server) = kubernetes::of_user(&arguments.api, &arguments.cluster).await?;
            let local = local.ok().filter(|local| local.cluster.id == id);
            Ok((id, local, server))
        }
    }
}

/// A cluster of the Docker engine, and the addresses of this machine, to which no mapping leads.
struct LocalCluster {
    cluster: Cluster,
    own: OwnAddresses,
}

/// What is open on the cluster.
async fn open(id: &ClusterId) -> Result<Vec<(Local, Target)>, Failure> {
    // Without an engine nothing is.
    let Ok(mut gates) = gates::find().await else { return Ok(Vec::new()) };
    gates.list.retain(|gate| gate.cluster() == id);
    let reports = gates.reports(Detail::Brief, ANSWER_TIME).await?;
    Ok(reports.iter().flat_map(Report::mappings).map(|mapping| (mapping.local, mapping.target)).collect())
}

/// The ways to the Services of a cluster.
struct Ways<'a> {
    nodes: Vec<String>,
    addresses: Addresses,
    objects: &'a Objects,
    means: Means,
    own: Option<OwnAddresses>,
}

impl<'a> Ways<'a> {
    fn new(local: Option<LocalCluster>, objects: &'a Objects) -> Self {
        let cluster = local.as_ref().map(|local| &local.cluster);
        Self {
            nodes: cluster.map(Cluster::node_names).unwrap_or_default(),
            addresses: cluster.map(Cluster::addresses).unwrap_or_default(),
            objects,
            means: if cluster.is_some() { Means::Network { routes: true } } else { Means::Api },
            own: local.map(|local| local.own),
        }
    }

    fn to(&self, key: &ObjectKey, port: &ServicePort) -> Resolution {
        let target = Target::Object { object: key.clone(), port: PortName::Number(port.port) };
        let Self { nodes, addresses: seen, objects, means, own } = self;
        let view = View { nodes, seen, objects, means: *means, own: own.as_ref() };
        view.resolve(&target, port.protocol)
    }
}

fn rows(key: &ObjectKey, service: &Service, ways: &Ways<'_>, open: &[(Local, Target)]) -> Vec<ServiceRow> {
    if service.ports.is_empty() {
        return vec![ServiceRow::new(key, service, None, Ok(Vec::new()), Vec::new())];
    }
    let row = |port: &ServicePort| {
        let leads_here = |target: &Target, protocol: Protocol| leads_to(target, protocol, key, port);
        let open = open.iter().filter(|(local, target)| leads_here(target, local.protocol));
        let open = open.map(|(local, _)| local.clone()).collect();
        ServiceRow::new(key, service, Some(port.clone()), ways.to(key, port), open)
    };
    service.ports.iter().map(row).collect()
}

/// Whether a mapping leads to this port of this Service: by its name, or by its node port.
fn leads_to(target: &Target, protocol: Protocol, key: &ObjectKey, port: &ServicePort) -> bool {
    protocol == port.protocol
        && match target {
            Target::Object { object, port: name } => object == key && port.is_called(name),
            Target::NodePort { port: node_port } => port.node_port == Some(*node_port),
            Target::Node { .. } => false,
        }
}
