//! Where a gate's nodes are: what Docker's events or its DNS tell.

use std::sync::Arc;
use std::time::Duration;

use portgate_core::causes;
use portgate_core::cluster::ClusterId;
use portgate_core::mapping::Target;
use portgate_core::state::{GateState, NodeHost};
use portgate_core::table::Addresses;
use portgate_docker::call;
use portgate_docker::engine::Engine;
use portgate_docker::settings::Settings as EngineSettings;
use portgate_docker::watch::{Sight, Watch};
use portgate_relay::Demand;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::resolve::{self, FRESH, resolve};
use crate::settings::{HostPlace, Place};

/// How long a cluster must be without any container until it counts as deleted: a tool that makes it anew under the
/// same name takes less.
const DELETED: Duration = Duration::from_secs(2);

/// How long a gate waits for the engine's first answer before it opens its ports without knowing where they lead.
const FIRST_SIGHT: Duration = Duration::from_secs(2);

/// How long to wait until an engine is tried again that could not be reached.
const CONNECT_AGAIN: Duration = Duration::from_millis(100);

/// What was seen of the nodes and of the other containers that targets name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Observation {
    /// The names of the nodes, in the order of preference; none where they are those of the state file.
    pub(crate) nodes: Vec<String>,
    /// The containers' addresses.
    pub(crate) addresses: Addresses,
    /// The interface of the cluster's network, where it is one of this network namespace.
    pub(crate) bridge: Option<String>,
    /// Whether this is all that there is, or only what could be found out this time.
    whole: bool,
}

impl Observation {
    /// What is known after this newer observation.
    pub(crate) fn update(&mut self, newer: Self) {
        if newer.whole {
            *self = newer;
        } else {
            self.addresses.extend(newer.addresses);
        }
    }
}

/// Observes in one of two ways.
pub(crate) enum Observer {
    /// Docker's DNS, or none for addresses, asked whenever traffic needs it.
    Names(Names),
    /// Docker's events.
    Engine(Box<Events>),
}

/// Names that are looked up on use.
pub(crate) struct Names {
    hosts: watch::Sender<Vec<NodeHost>>,
    looks: mpsc::Receiver<Addresses>,
    looked_at: Instant,
    demand: Arc<Demand>,
    _follower: JoinSet<()>,
}

/// What the engine tells.
pub(crate) struct Events {
    /// `None` once the cluster is gone for good.
    seen: mpsc::Receiver<Option<Observation>>,
    _follower: JoinSet<()>,
}

/// Listens to the engine in a task of its own: a look takes several questions, and would begin anew whenever the gate
/// has something else to do.
struct Follower {
    settings: EngineSettings,
    cluster: ClusterId,
    network: String,
    watch: Option<Watch>,
    gone_since: Option<Instant>,
}

impl Observer {
    /// Begins to observe, and says what there is.
    pub(crate) async fn start(place: &Place, state: &GateState, demand: Arc<Demand>) -> (Self, Observation) {
        match place {
            Place::Process(_) | Place::Published(_) => {
                let hosts = hosts(state);
                let addresses = resolve(&hosts).await;
                let (hosts, wanted) = watch::channel(hosts);
                let (sender, looks) = mpsc::channel(1);
                let mut follower = JoinSet::new();
                follower.spawn(resolve::follow(Arc::clone(&demand), wanted, sender));
                let names = Names { hosts, looks, looked_at: Instant::now(), demand, _follower: follower };
                let seen = Observation { nodes: node_names(state), addresses, bridge: None, whole: false };
                (Self::Names(names), seen)
            }
            Place::Host(host) => {
                let mut events = Events::of(host, &state.cluster);
                let first = tokio::time::timeout(FIRST_SIGHT, events.next()).await;
                (Self::Engine(Box::new(events)), first.ok().flatten().unwrap_or_default())
            }
        }
    }

    /// What is seen next; `None` once the cluster is gone for good. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Observation> {
        match self {
            Self::Names(names) => match names.looks.recv().await {
                Some(addresses) => Some(names.observation(addresses)),
                None => std::future::pending().await,
            },
            Self::Engine(events) => events.next().await,
        }
    }

    /// Whoever asks for the state wants that of now, though no traffic has asked for the addresses.
    pub(crate) async fn look(&mut self) -> Option<Observation> {
        match self {
            Self::Names(names) if names.looked_at.elapsed() >= FRESH => {
                let hosts = names.hosts.borrow().clone();
                Some(names.observation(resolve(&hosts).await))
            }
            Self::Names(_) | Self::Engine(_) => None,
        }
    }

    /// Looks up the hosts that this state has and `seen` has not.
    pub(crate) async fn look_up_new(&mut self, state: &GateState, seen: &mut Observation) {
        if let Self::Names(_) = self {
            let mut unknown = hosts(state);
            unknown.retain(|host| !seen.addresses.contains_key(&host.name));
            seen.addresses.extend(resolve(&unknown).await);
            seen.nodes = node_names(state);
        }
    }

    /// Observes what this state needs, from now on.
    pub(crate) fn follow(&self, state: &GateState) {
        if let Self::Names(names) = self {
            names.hosts.send_replace(hosts(state));
        }
    }

    /// What was seen last has reached the relay.
    pub(crate) fn refreshed(&self) {
        if let Self::Names(names) = self {
            names.demand.refreshed();
        }
    }
}

impl Names {
    fn observation(&mut self, addresses: Addresses) -> Observation {
        self.looked_at = Instant::now();
        Observation { addresses, ..Observation::default() }
    }
}

impl Events {
    fn of(host: &HostPlace, cluster: &ClusterId) -> Self {
        let (sender, seen) = mpsc::channel(1);
        let mut follower = JoinSet::new();
        follower.spawn(Follower::of(host, cluster).follow(sender));
        Self { seen, _follower: follower }
    }

    /// `None` once the cluster is gone for good. Cancel-safe.
    async fn next(&mut self) -> Option<Observation> {
        match self.seen.recv().await {
            Some(seen) => seen,
            None => std::future::pending().await,
        }
    }
}

impl Follower {
    fn of(host: &HostPlace, cluster: &ClusterId) -> Self {
        Self {
            settings: host.engine_settings(),
            cluster: cluster.clone(),
            network: host.network.clone(),
            watch: None,
            gone_since: None,
        }
    }

    async fn follow(mut self, seen: mpsc::Sender<Option<Observation>>) {
        loop {
            let next = self.next().await;
            let is_last = next.is_none();
            if seen.send(next).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn next(&mut self) -> Option<Observation> {
        loop {
            let deleted = self.gone_since.map(|since| since + DELETED);
            tokio::select! {
                seen = self.look() => if let Some(seen) = self.take(seen) {
                    return Some(seen);
                },
                () = until(deleted) => return None,
            }
        }
    }

    async fn look(&mut self) -> Result<Sight, call::Error> {
        loop {
            match &mut self.watch {
                Some(watch) => return watch.next().await,
                None => self.connect().await,
            }
        }
    }

    /// What is seen now; none if the engine is away, and with it the knowledge of whether the cluster is still gone.
    fn take(&mut self, seen: Result<Sight, call::Error>) -> Option<Observation> {
        match seen {
            Ok(sight) => {
                self.gone_since = match sight.cluster {
                    Some(_) => None,
                    None => self.gone_since.or_else(|| Some(Instant::now())),
                };
                Some(observation(sight))
            }
            Err(error) => {
                self.gone_since = None;
                tracing::warn!(error = causes::line(&error), "the engine is away; what is known stays");
                None
            }
        }
    }

    /// An engine that starts its containers does not answer yet.
    async fn connect(&mut self) {
        match Engine::connect(&self.settings).await {
            Ok(engine) => self.watch = Some(engine.watch(&self.cluster, &self.network)),
            Err(error) => {
                tracing::warn!(error = causes::line(&error), "cannot reach the engine yet");
                tokio::time::sleep(CONNECT_AGAIN).await;
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn observation(sight: Sight) -> Observation {
    let nodes = sight.cluster.into_iter().flat_map(|cluster| cluster.nodes).map(|node| node.name).collect();
    Observation { nodes, addresses: sight.containers, bridge: sight.bridge, whole: true }
}

fn node_names(state: &GateState) -> Vec<String> {
    state.nodes.iter().map(|node| node.name.clone()).collect()
}

/// The nodes, and the other containers that targets name; those are found by their names.
fn hosts(state: &GateState) -> Vec<NodeHost> {
    let mut hosts = state.nodes.clone();
    for mapping in &state.mappings {
        if let Target::Node { container, .. } = &mapping.target
            && !hosts.iter().any(|host| host.name == *container)
        {
            hosts.push(NodeHost { name: container.clone(), host: container.clone() });
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portgate_core::cluster::Provider;

    use super::*;

    #[test]
    fn a_cluster_that_was_gone_does_not_count_as_deleted_while_the_engine_is_away() {
        let mut follower = Follower {
            settings: EngineSettings::default(),
            cluster: ClusterId { provider: Provider::K3d, name: "my".to_owned() },
            network: "k3d-my".to_owned(),
            watch: None,
            gone_since: None,
        };
        let gone = || Ok(Sight { cluster: None, containers: BTreeMap::new(), bridge: None });
        assert!(follower.take(gone()).is_some());
        let since = follower.gone_since;
        assert!(since.is_some() && follower.take(gone()).is_some());
        assert_eq!(follower.gone_since, since);
        let action = call::Action { operation: "follow events", object: String::new() };
        assert!(follower.take(Err(call::Error::Failed { action, message: "EOF".to_owned() })).is_none());
        assert_eq!(follower.gone_since, None);
    }
}
