//! What the Kubernetes API server tells of the objects that targets name.

use std::collections::BTreeSet;
use std::time::Duration;

use portgate_core::causes;
use portgate_core::kubernetes::{ObjectKey, Objects};
use portgate_kube::api::Api;
use portgate_kube::watch::Watch;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::door::{Door, DoorError, Entry};

/// How long to wait until an API server is looked for again that could not be found; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// How often it is asked, while the API server is away, whether it is somewhere else by now.
const LOOK_ELSEWHERE: Duration = Duration::from_secs(1);

/// What was told, and of which objects: of others nothing is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    keys: BTreeSet<ObjectKey>,
    objects: Objects,
}

impl Told {
    /// What is known by now: what was told, and of other objects what `before` says. While the API server is away, an
    /// object of which it has not told may exist all the same.
    pub(crate) fn over(&self, before: &Objects) -> Objects {
        let is_told = |key: &&ObjectKey| self.objects.problem.is_none() && self.keys.contains(key);
        let others = before.services.keys().chain(before.pods.keys()).filter(|key| !is_told(key));
        let mut known = before.of(others);
        known.update(&self.objects);
        known.problem.clone_from(&self.objects.problem);
        known
    }
}

/// Watches the objects that are wanted, in a task of its own. While none is wanted, nothing is watched.
pub(crate) struct Informer {
    wanted: watch::Sender<BTreeSet<ObjectKey>>,
    told: mpsc::Receiver<Told>,
    _follower: JoinSet<()>,
}

impl Informer {
    pub(crate) fn start(door: Door, wanted: BTreeSet<ObjectKey>) -> Self {
        let (wanted, wants) = watch::channel(wanted);
        let (sender, told) = mpsc::channel(1);
        let mut follower = JoinSet::new();
        follower.spawn(Follower { door, wants, told: sender }.follow());
        Self { wanted, told, _follower: follower }
    }

    /// Watches these from now on.
    pub(crate) fn want(&self, keys: BTreeSet<ObjectKey>) {
        self.wanted.send_if_modified(|wanted| {
            let differ = *wanted != keys;
            *wanted = keys;
            differ
        });
    }

    /// What is told next. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }
}

struct Follower {
    door: Door,
    wants: watch::Receiver<BTreeSet<ObjectKey>>,
    told: mpsc::Sender<Told>,
}

/// The gate has ended.
struct Over;

impl Follower {
    async fn follow(mut self) {
        while self.wants.wait_for(|keys| !keys.is_empty()).await.is_ok() {
            let Ok(entry) = self.enter().await else { return };
            if self.watch(entry).await.is_err() {
                return;
            }
        }
    }

    /// Finds the API server; tells, as long as it cannot be found, why.
    async fn enter(&mut self) -> Result<Entry, Over> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.door.enter().await {
                Ok(entry) => return Ok(entry),
                Err(error) => self.tell_problem(&error).await?,
            }
            sleep(pause).await;
            pause = LAST_PAUSE.min(pause * 2);
        }
    }

    async fn tell_problem(&mut self, error: &DoorError) -> Result<(), Over> {
        let problem = causes::line(error);
        tracing::warn!(problem, "the Kubernetes API server cannot be found");
        let objects = Objects { problem: Some(problem), ..Objects::default() };
        self.told.send(Told { keys: BTreeSet::new(), objects }).await.map_err(|_| Over)
    }

    /// Watches until nothing is wanted any more, or the API server is elsewhere.
    async fn watch(&mut self, entry: Entry) -> Result<(), Over> {
        let api = match Api::connect(&entry.access).await {
            Ok(api) => api,
            Err(error) => return self.tell_problem(&error.into()).await,
        };
        let mut keys = self.wants.borrow_and_update().clone();
        let mut watch: Watch = api.watch(keys.clone(), self.door.has_nodes());
        let mut is_away = false;
        loop {
            tokio::select! {
                objects = watch.next() => {
                    is_away = objects.problem.is_some();
                    self.told.send(Told { keys: keys.clone(), objects }).await.map_err(|_| Over)?;
                }
                changed = self.wants.changed() => {
                    changed.map_err(|_| Over)?;
                    keys.clone_from(&self.wants.borrow_and_update());
                    if keys.is_empty() {
                        return Ok(());
                    }
                    watch.follow(keys.clone());
                }
                () = sleep(LOOK_ELSEWHERE), if is_away => {
                    if self.door.enter().await.is_ok_and(|now| now.mark != entry.mark) {
                        return Ok(());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::kubernetes::Kind;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey { kind: Kind::Deployment, namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn with_pods(names: &[&str]) -> Objects {
        Objects { pods: names.iter().map(|name| (key(name), Vec::new())).collect(), ..Objects::default() }
    }

    fn known(told: &Told) -> Vec<String> {
        told.over(&with_pods(&["old", "asked"])).pods.into_keys().map(|key| key.name).collect()
    }

    #[test]
    fn what_was_asked_for_and_is_not_told_does_not_exist() {
        let told = Told { keys: [key("asked"), key("new")].into(), objects: with_pods(&["new"]) };
        assert_eq!(known(&told), ["new", "old"]);
        assert_eq!(known(&Told::default()), ["asked", "old"]);
    }

    #[test]
    fn what_an_api_server_that_is_away_does_not_tell_stays_as_it_was() {
        let objects = Objects { problem: Some("it is away".to_owned()), ..with_pods(&["new"]) };
        let told = Told { keys: [key("asked"), key("new")].into(), objects };
        assert_eq!(known(&told), ["asked", "new", "old"]);
    }
}
