//! Following a cluster: a fresh look at it whenever the engine reports a change, and no polling.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as State, EventMessage};
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::{Stream, StreamExt};
use jiff::Timestamp;
use portgate_core::cluster::{Cluster, ClusterId, Provider};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::bridge::Network;
use crate::call::{self, Call, FOREVER};
use crate::clusters;
use crate::engine::Engine;
use crate::trust::{Believed, Reason, Rejection};

/// After what a cluster may look different: these actions of containers and networks.
const ACTIONS: [&str; 9] = ["connect", "create", "destroy", "die", "disconnect", "pause", "rename", "start", "unpause"];

/// For how long nothing happens at the end of a burst of events.
const LULL: Duration = Duration::from_millis(5);

/// How long a burst is waited for at most.
const BURST: Duration = Duration::from_millis(20);

/// When to look again after a burst, from look to look: the engine reports some changes before it lists them.
const SETTLING: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// How far back events are asked for. The engine begins to report shortly after it has taken the request; what happened
/// in between it tells too, as it remembers its last 256 events. What is told twice costs one look.
const OVERLAP: Duration = Duration::from_secs(2);

/// For how long the engine may list a container as running that has ended. It is some milliseconds.
const STALE: Duration = Duration::from_secs(2);

/// How soon an engine that is away is tried again: at first, and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What the engine knows about a cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The cluster; none if no container is a part of it any more, running or not, or for [`Provider::Network`] if the
    /// network is gone.
    pub cluster: Option<Cluster>,
    /// The running containers on the network, gates excepted, and their addresses there, IPv4 first.
    pub containers: BTreeMap<String, Vec<IpAddr>>,
    /// The network's bridge, an interface of the engine's host; none if it has no bridge or is gone.
    pub bridge: Option<String>,
}

/// Follows one cluster.
pub struct Watch {
    engine: Engine,
    cluster: ClusterId,
    network: String,
    /// None before the first look, and after they have ended.
    events: Option<Events>,
    ended: Ended,
    next_look: NextLook,
    seen: Option<Sight>,
    /// Whether it was said that the engine is away.
    away: bool,
    backoff: Backoff,
}

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, ClientError>> + Send>>;

/// When to look at the cluster next.
#[derive(Clone, Copy, Debug)]
enum NextLook {
    /// At the end of the burst of events that has begun.
    AfterBurst,
    /// Then, unless something happens before; and after these pauses.
    At(Instant, &'static [Duration]),
    /// When something happens.
    OnEvent,
}

impl NextLook {
    /// What comes after this look, which is over now.
    fn and_then(self, now: Instant) -> Self {
        let pauses = match self {
            Self::AfterBurst => &SETTLING[..],
            Self::At(_, pauses) => pauses,
            Self::OnEvent => &[],
        };
        pauses.split_first().map_or(Self::OnEvent, |(pause, rest)| Self::At(now + *pause, rest))
    }
}

impl Engine {
    /// Follows a cluster, whose nodes share this network.
    pub fn watch(&self, cluster: &ClusterId, network: &str) -> Watch {
        Watch {
            engine: self.clone(),
            cluster: cluster.clone(),
            network: network.to_owned(),
            events: None,
            ended: Ended::default(),
            next_look: NextLook::AfterBurst,
            seen: None,
            away: false,
            backoff: Backoff::new(Instant::now()),
        }
    }

    /// What happens from now on, and what happened shortly before.
    fn events(&self) -> Events {
        let filters = HashMap::from([("type", vec!["container", "network"]), ("event", ACTIONS.to_vec())]);
        let since = Timestamp::now() - OVERLAP;
        let options = EventsOptionsBuilder::new().since(&since.as_second().to_string()).filters(&filters).build();
        Box::pin(self.docker.events(Some(options)))
    }
}

impl Watch {
    /// The next sight: the first at once, then one whenever the cluster looks different.
    ///
    /// A failure says that the engine went away. It comes once; then the engine is tried again until it is back, which
    /// the next sight shows, different or not. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Sight, call::Error> {
        loop {
            match Box::pin(self.look()).await {
                Ok(sight) => {
                    self.away = false;
                    if self.seen.as_ref() != Some(&sight) {
                        self.seen = Some(sight.clone());
                        return Ok(sight);
                    }
                }
                Err(error) => {
                    self.hang_up();
                    self.seen = None;
                    if !std::mem::replace(&mut self.away, true) {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Waits until there is a reason to look, and looks.
    async fn look(&mut self) -> Result<Sight, call::Error> {
        if let Some(events) = &mut self.events {
            match wait(events, &mut self.ended, &mut self.next_look).await {
                Ok(()) => {}
                Err(Break::Quiet) => self.hang_up(),
                Err(Break::Failure(error)) => return Err(Call::new("follow events", "", FOREVER).failure(error)),
            }
        }
        if self.events.is_none() {
            sleep_until(self.backoff.until).await;
            self.events = Some(self.engine.events());
            self.next_look = NextLook::AfterBurst;
        }
        let answers = tokio::try_join!(self.engine.believed(true), self.engine.network(&self.network));
        let (mut believed, network) = answers?;
        self.ended.correct(&mut believed.containers, Instant::now());
        self.next_look = self.next_look.and_then(Instant::now());
        Ok(sight(&self.cluster, &self.network, &believed, network))
    }

    /// Subscribes to the events again before the next look, in a while. What ended or started meanwhile is not told, so
    /// what earlier events told is forgotten: the engine lists what there is then.
    fn hang_up(&mut self) {
        self.events = None;
        self.ended = Ended::default();
        self.backoff.fail(Instant::now());
    }
}

/// Waits for a reason to look: the end of a burst of events, or the time for another look.
async fn wait(events: &mut Events, ended: &mut Ended, next_look: &mut NextLook) -> Result<(), Break> {
    match *next_look {
        NextLook::AfterBurst => {}
        NextLook::OnEvent => event(events, ended).await?,
        NextLook::At(time, _) => match timeout_at(time, event(events, ended)).await {
            Ok(event) => event?,
            Err(_) => return Ok(()),
        },
    }
    *next_look = NextLook::AfterBurst;
    let end = Instant::now() + BURST;
    while Instant::now() < end
        && let Ok(event) = timeout(LULL, event(events, ended)).await
    {
        event?;
    }
    Ok(())
}

/// Waits for an event, and notes the end or the start of a container. Of other events it is enough that they came: the
/// engine lets only those of interest through.
async fn event(events: &mut Events, ended: &mut Ended) -> Result<(), Break> {
    match events.next().await {
        Some(Ok(event)) => {
            let id = event.actor.and_then(|actor| actor.id);
            match (event.action.as_deref(), id) {
                (Some("die"), Some(id)) => drop(ended.0.insert(id, Instant::now())),
                (Some("start" | "destroy"), Some(id)) => drop(ended.0.remove(&id)),
                _ => {}
            }
            Ok(())
        }
        Some(Err(error)) => Err(Break::Failure(error)),
        None => Err(Break::Quiet),
    }
}

/// Why there are no more events.
enum Break {
    /// As an engine that restarts and a proxy in between may do.
    Quiet,
    /// The connection broke, or the engine refused.
    Failure(ClientError),
}

/// The ids of containers that have ended, and when that was told. For a moment the engine still lists them as running.
#[derive(Debug, Default)]
struct Ended(BTreeMap<String, Instant>);

impl Ended {
    /// Corrects what the engine lists about containers that have ended a moment ago.
    fn correct(&mut self, listed: &mut [ContainerSummary], now: Instant) {
        self.0.retain(|_, ended| now.saturating_duration_since(*ended) < STALE);
        for container in listed {
            if container.id.as_ref().is_some_and(|id| self.0.contains_key(id)) {
                container.state = Some(State::EXITED);
            }
        }
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug)]
struct Backoff {
    /// Not before.
    until: Instant,
    /// How long to wait after the next failure.
    pause: Duration,
}

impl Backoff {
    fn new(now: Instant) -> Self {
        Self { until: now, pause: RETRY.0 }
    }

    /// Doubles the pause, unless all was well for some time.
    fn fail(&mut self, now: Instant) {
        if now > self.until + RETRY.1 {
            self.pause = RETRY.0;
        }
        self.until = now + self.pause;
        self.pause = RETRY.1.min(self.pause * 2);
    }
}

/// What these answers say about a cluster.
fn sight(id: &ClusterId, network: &str, believed: &Believed, found: Option<Network>) -> Sight {
    let listed = &believed.containers;
    let cluster = if id.provider == Provider::Network {
        found.as_ref().map(|_| clusters::on_network(network, listed))
    } else {
        let known = clusters::from_containers(listed).0.into_iter().find(|cluster| cluster.id == *id);
        known.or_else(|| may_exist(id, believed).then(|| without_nodes(id, network)))
    };
    let containers = clusters::addresses_on(network, listed);
    Sight { cluster, containers, bridge: found.and_then(|network| network.bridge) }
}

/// Whether a container may be a node of this cluster, which cannot be told as its image is gone. Such a cluster does not
/// count as deleted.
fn may_exist(id: &ClusterId, believed: &Believed) -> bool {
    let is_unknown =
        |rejection: &Rejection| rejection.reason == Reason::ImageGone && rejection.cluster.as_ref() == Some(id);
    believed.rejections.iter().any(is_unknown)
}

fn without_nodes(id: &ClusterId, network: &str) -> Cluster {
    Cluster { id: id.clone(), network: network.to_owned(), nodes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn seen(provider: Provider, containers: &str, network: bool) -> Sight {
        let id = ClusterId { provider, name: "my".to_owned() };
        let containers = serde_json::from_str(containers).unwrap();
        let listed = Believed { containers, rejections: Vec::new() };
        let network = network.then(|| Network { bridge: Some("br-my".to_owned()) });
        sight(&id, "my", &listed, network)
    }

    const STOPPED_NODE: &str = r#"[{ "Names": ["/node"], "State": "exited",
        "Labels": { "k3d.cluster": "my", "k3d.role": "server", "k3d.cluster.network": "my" },
        "NetworkSettings": { "Networks": { "my": { "IPAddress": "" } } } }]"#;

    #[test]
    fn a_cluster_is_there_as_long_as_it_has_a_node() {
        let sight = seen(Provider::K3d, STOPPED_NODE, true);
        assert_eq!(sight.cluster.unwrap().nodes.len(), 1);
        assert!(sight.containers.is_empty());
        assert_eq!(sight.bridge.as_deref(), Some("br-my"));
        assert_eq!(seen(Provider::K3d, "[]", true).cluster, None);
    }

    #[test]
    fn a_plain_network_is_there_even_if_nothing_is_on_it() {
        assert_eq!(seen(Provider::Network, STOPPED_NODE, true).cluster.unwrap().nodes, []);
        let gone = seen(Provider::Network, "[]", false);
        assert_eq!((gone.cluster, gone.bridge), (None, None));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_begin_anew_after_a_good_time() {
        let mut now = Instant::now();
        let mut backoff = Backoff::new(now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            backoff.fail(now);
            pauses.push((backoff.until - now).as_millis());
            now = backoff.until;
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        now += Duration::from_secs(2);
        backoff.fail(now);
        assert_eq!(backoff.until - now, RETRY.0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_of_events_is_one_reason_to_look() {
        let start = Instant::now();
        let burst = futures_util::stream::iter(std::iter::repeat_n((), 3)).map(|()| Ok(EventMessage::default()));
        let mut events: Events = Box::pin(burst.chain(futures_util::stream::pending()));
        let mut next_look = NextLook::OnEvent;
        let mut ended = Ended::default();
        assert!(wait(&mut events, &mut ended, &mut next_look).await.is_ok());
        assert_eq!(start.elapsed(), LULL);
        assert!(timeout(Duration::from_hours(24), event(&mut events, &mut ended)).await.is_err());
    }

    #[tokio::test]
    async fn a_container_has_ended_from_its_end_to_its_next_start() {
        let told = ["die", "start", "die", "destroy", "die"].map(|action| {
            let actor = EventActor { id: Some("0123".to_owned()), ..EventActor::default() };
            Ok(EventMessage { action: Some(action.to_owned()), actor: Some(actor), ..EventMessage::default() })
        });
        let mut events: Events = Box::pin(futures_util::stream::iter(told));
        let mut ended = Ended::default();
        let mut known = Vec::new();
        while event(&mut events, &mut ended).await.is_ok() {
            known.push(ended.0.len());
        }
        assert_eq!(known, [1, 0, 1, 0, 1]);
    }

    #[test]
    fn what_ended_is_listed_as_running_for_a_moment_only() {
        let running = || ContainerSummary {
            id: Some("0123".to_owned()),
            state: Some(State::RUNNING),
            ..ContainerSummary::default()
        };
        let now = Instant::now();
        let mut ended = Ended([("0123".to_owned(), now)].into());
        let mut state = |now| {
            let mut listed = [running()];
            ended.correct(&mut listed, now);
            listed[0].state
        };
        assert_eq!(state(now), Some(State::EXITED));
        assert_eq!(state(now + STALE), Some(State::RUNNING));
    }

    #[test]
    fn a_cluster_whose_nodes_cannot_be_told_is_not_deleted() {
        let id = ClusterId { provider: Provider::K3d, name: "my".to_owned() };
        let rejected = |reason| Believed {
            containers: Vec::new(),
            rejections: vec![Rejection {
                container: "node".to_owned(),
                claim: crate::trust::Claim::Node,
                cluster: Some(id.clone()),
                reason,
            }],
        };
        let nodes = |believed| sight(&id, "my", &believed, None).cluster.map(|cluster| cluster.nodes.len());
        assert_eq!(nodes(rejected(Reason::ImageGone)), Some(0));
        assert_eq!(nodes(rejected(Reason::ImageLabel { label: "k3d.cluster" })), None);
    }

    #[tokio::test(start_paused = true)]
    async fn events_without_end_do_not_put_off_a_look() {
        let start = Instant::now();
        let flood = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(EventMessage::default()), ()))
        });
        let mut events: Events = Box::pin(flood);
        assert!(wait(&mut events, &mut Ended::default(), &mut NextLook::OnEvent).await.is_ok());
        assert!(start.elapsed() <= BURST + LULL);
    }
}
