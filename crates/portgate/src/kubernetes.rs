//! Which Kubernetes API server a command asks, and what it finds there.

use std::collections::BTreeSet;

use portgate_core::cluster::{Cluster, ClusterId};
use portgate_core::forward::ApiAccess;
use portgate_core::kubernetes::{ObjectKey, Objects};
use portgate_core::suggest;
use portgate_docker::settings::Settings as EngineSettings;
use portgate_gate::door::Door;
use portgate_kube::access::{self, Access, Source};
use portgate_kube::api::Api;
use portgate_kube::settings::Settings;

use crate::args::{ApiArguments, ClusterArguments};
use crate::choice;
use crate::failure::Failure;

/// An API server, and how it was found.
pub(crate) struct Server {
    pub(crate) api: Api,
    pub(crate) access: ApiAccess,
    /// The namespace of names that say none.
    pub(crate) namespace: String,
}

/// The user's kubeconfig files, and the context that was named.
fn settings(arguments: &ApiArguments) -> Settings {
    let settings = Settings::from_variables(|name| std::env::var(name).ok());
    Settings { kubeconfig: arguments.kubeconfig.clone(), context: arguments.context.clone(), ..settings }
}

/// The API server of a local cluster: by the context that was named, else by the cluster's own context in the user's
/// kubeconfig, else by the kubeconfig of its servers.
pub(crate) async fn of_cluster(cluster: &Cluster, arguments: &ApiArguments) -> Result<Server, Failure> {
    let settings = settings(arguments);
    if settings.context.is_some() {
        return by_context(settings, arguments).await;
    }
    if let Some(context) = cluster.id.context() {
        match by_context(Settings { context: Some(context), ..settings }, arguments).await {
            Err(Failure::Access(access::Error::Nothing { .. } | access::Error::UnknownContext { .. })) => {}
            found => return found,
        }
    }
    by_servers(cluster, arguments).await
}

/// The API server that is meant where no cluster must be local: that of the context or cluster that was named, else that
/// of the current context, else that of the one local cluster that runs.
pub(crate) async fn of_user(
    arguments: &ApiArguments,
    named: &ClusterArguments,
) -> Result<(ClusterId, Server), Failure> {
    let is_local = named.name().is_some() || named.network.is_some();
    if arguments.context.is_some() || !is_local {
        match by_context(settings(arguments), arguments).await {
            Err(Failure::Access(access::Error::Nothing { .. })) if arguments.context.is_none() => {}
            found => {
                let server = found?;
                return Ok((server.cluster(), server));
            }
        }
    }
    let engine = choice::engine().await?;
    let cluster = choice::cluster(&engine, named).await?;
    let server = of_cluster(&cluster, arguments).await?;
    Ok((cluster.id, server))
}

async fn by_context(settings: Settings, arguments: &ApiArguments) -> Result<Server, Failure> {
    let door = Door::User(settings.clone());
    let entry = door.enter().await?;
    let Source::Context { name: context, .. } = entry.access.source().clone() else {
        return Err(access::Error::Nothing { looked: settings.kubeconfigs }.into());
    };
    let files = settings.kubeconfig.map_or(settings.kubeconfigs, |file| vec![file]);
    let files = files.into_iter().filter_map(|file| std::path::absolute(file).ok()).collect();
    Server::new(&entry.access, ApiAccess::Kubeconfig { files, context }, arguments).await
}

async fn by_servers(cluster: &Cluster, arguments: &ApiArguments) -> Result<Server, Failure> {
    let engine = EngineSettings::from_variables(|name| std::env::var(name).ok());
    let (id, network) = (cluster.id.clone(), cluster.network.clone());
    let entry = Door::Servers { engine, cluster: id, network: network.clone() }.enter().await?;
    Server::new(&entry.access, ApiAccess::Container { network }, arguments).await
}

impl Server {
    async fn new(access: &Access, by: ApiAccess, arguments: &ApiArguments) -> Result<Self, Failure> {
        let namespace = arguments.namespace.clone().unwrap_or_else(|| access.namespace().to_owned());
        Ok(Self { api: Api::connect(access).await?, access: by, namespace })
    }

    /// The cluster that its context names.
    fn cluster(&self) -> ClusterId {
        ClusterId::of_context(match &self.access {
            ApiAccess::Kubeconfig { context, .. } => context,
            ApiAccess::Container { network } => network,
        })
    }

    /// What there is to know of these objects. One that does not exist is an error, which names those that do.
    pub(crate) async fn look_up(&self, keys: &BTreeSet<ObjectKey>) -> Result<Objects, Failure> {
        let objects = self.api.objects(&keys.iter().cloned().collect::<Vec<_>>()).await?;
        let is_known = |key: &&ObjectKey| objects.services.contains_key(*key) || objects.pods.contains_key(*key);
        match keys.iter().find(|key| !is_known(key)) {
            None => Ok(objects),
            Some(key) => Err(self.unknown(key).await?),
        }
    }

    async fn unknown(&self, key: &ObjectKey) -> Result<Failure, Failure> {
        let known = self.api.names(key.kind, &key.namespace).await?;
        if known.is_empty()
            // Who may not list namespaces is told about the object.
            && let Ok(namespaces) = self.api.namespaces().await
            && !namespaces.contains(&key.namespace)
        {
            let nearest = suggest::nearest(&key.namespace, namespaces.iter().map(String::as_str)).map(str::to_owned);
            return Ok(Failure::UnknownNamespace { name: key.namespace.clone(), nearest, known: namespaces });
        }
        let nearest = suggest::nearest(&key.name, known.iter().map(String::as_str)).map(str::to_owned);
        Ok(Failure::UnknownObject { object: key.clone(), nearest, known })
    }
}
