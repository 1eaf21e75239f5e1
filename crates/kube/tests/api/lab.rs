//! A server, a kubeconfig that leads to it, and what is seen of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use portgate_core::kubernetes::{Kind, ObjectKey, Objects};
use portgate_double::{Config, Double, Kubeconfig, Resource, Verb};
use portgate_kube::access::Access;
use portgate_kube::api::Api;
use portgate_kube::settings::Settings;
use portgate_kube::watch::Watch;
use tempfile::TempDir;

/// How long anything may take before a test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// The outcome of what should happen soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

pub(crate) struct Lab {
    pub(crate) double: Double,
    home: TempDir,
}

impl Lab {
    /// What was recorded from a real server: Services `echo` and `internal` in namespace `backend`, and what is behind
    /// them.
    pub(crate) async fn recorded() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let lab = Self { double: Double::start(config).await.unwrap(), home: tempfile::tempdir().unwrap() };
        lab.write_kubeconfig(&Kubeconfig::default()).await;
        lab
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) async fn write_kubeconfig(&self, wanted: &Kubeconfig) {
        std::fs::write(self.file("config"), self.double.kubeconfig(wanted).await.unwrap()).unwrap();
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings { kubeconfigs: vec![self.file("config")], ..Settings::default() }
    }

    pub(crate) fn access(&self) -> Access {
        Access::of_user(&self.settings()).unwrap()
    }

    pub(crate) async fn api(&self) -> Api {
        Api::connect(&self.access()).await.unwrap()
    }

    /// How often this was asked for.
    pub(crate) async fn asked(&self, verb: Verb, resource: Resource) -> u64 {
        self.double.counters().await.unwrap().requests(verb, resource)
    }

    /// Waits until the resource is watched.
    pub(crate) async fn watched(&self, resource: Resource) {
        soon(async {
            while self.asked(Verb::Watch, resource).await == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stops the server; its files stay as long as what is given back.
    pub(crate) async fn stop(self) -> TempDir {
        self.double.stop().await;
        self.home
    }

    /// Follows these objects.
    pub(crate) async fn watch(&self, keys: &[&str]) -> Watch {
        self.api().await.watch(self::keys(keys), false)
    }
}

/// `svc/web.shop`
pub(crate) fn key(text: &str) -> ObjectKey {
    let (kind, rest) = text.split_once('/').unwrap();
    let (name, namespace) = rest.split_once('.').unwrap();
    ObjectKey { kind: Kind::from_word(kind).unwrap(), namespace: namespace.to_owned(), name: name.to_owned() }
}

pub(crate) fn keys(texts: &[&str]) -> BTreeSet<ObjectKey> {
    texts.iter().map(|text| key(text)).collect()
}

/// The first Objects of which this is true.
pub(crate) async fn until(watch: &mut Watch, condition: impl Fn(&Objects) -> bool) -> Objects {
    soon(async {
        loop {
            let objects = watch.next().await;
            if condition(&objects) {
                return objects;
            }
        }
    })
    .await
}

/// The addresses of a Service's endpoints that are ready; none if there is no such Service.
pub(crate) fn ready(objects: &Objects, service: &str) -> Option<Vec<String>> {
    let service = objects.services.get(&key(service))?;
    Some(service.ready().map(|endpoint| endpoint.address.to_string()).collect())
}

/// The names of a workload's pods; none if there is no such workload.
pub(crate) fn pods(objects: &Objects, workload: &str) -> Option<Vec<String>> {
    Some(objects.pods.get(&key(workload))?.iter().map(|pod| pod.name.clone()).collect())
}
