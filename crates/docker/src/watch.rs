//! Following a cluster: a fresh look at it whenever the engine reports a change, and no polling.

use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// How soon an engine that is away is tried again: at first, and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What the engine knows about a cluster at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The cluster; none if it has no node any more, running or not, or for [`Provider::Network`] if the network is gone.
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
    /// The ids of containers that have ended. For a moment the engine still lists them as running.
    ended: BTreeSet<String>,
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
            ended: BTreeSet::new(),
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
                Err(Ended::Quietly) => self.hang_up(),
                Err(Ended::Broken(error)) => return Err(Call::new("follow events", "", FOREVER).failure(error)),
            }
        }
        if self.events.is_none() {
            sleep_until(self.backoff.until).await;
            self.events = Some(self.engine.events());
            self.next_look = NextLook::AfterBurst;
        }
        let answers = tokio::try_join!(self.engine.containers(true), self.engine.network(&self.network));
        let (mut listed, network) = answers?;
        for container in &mut listed {
            if container.id.as_ref().is_some_and(|id| self.ended.contains(id)) {
                container.state = Some(State::EXITED);
            }
        }
        self.next_look = self.next_look.and_then(Instant::now());
        Ok(sight(&self.cluster, &self.network, &listed, network))
    }

    /// Subscribes to the events anew before the next look, in a while.
    fn hang_up(&mut self) {
        self.events = None;
        self.backoff.fail(Instant::now());
    }
}

/// Waits for a reason to look: the end of a burst of events, or the time for another look.
async fn wait(events: &mut Events, ended: &mut BTreeSet<String>, next_look: &mut NextLook) -> Result<(), Ended> {
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
async fn event(events: &mut Events, ended: &mut BTreeSet<String>) -> Result<(), Ended> {
    match events.next().await {
        Some(Ok(event)) => {
            let id = event.actor.and_then(|actor| actor.id);
            match (event.action.as_deref(), id) {
                (Some("die"), Some(id)) => drop(ended.insert(id)),
                (Some("start" | "destroy"), Some(id)) => drop(ended.remove(&id)),
                _ => {}
            }
            Ok(())
        }
        Some(Err(error)) => Err(Ended::Broken(error)),
        None => Err(Ended::Quietly),
    }
}

/// Why there are no more events.
enum Ended {
    /// As an engine that restarts and a proxy in between may do.
    Quietly,
    /// The connection broke, or the engine refused.
    Broken(ClientError),
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
fn sight(id: &ClusterId, network: &str, listed: &[ContainerSummary], found: Option<Network>) -> Sight {
    let cluster = match id.provider {
        Provider::Network => found.as_ref().map(|_| clusters::on_network(network, listed)),
        _ => clusters::from_containers(listed).into_iter().find(|cluster| cluster.id == *id),
    };
    let containers = clusters::addresses_on(network, listed);
    Sight { cluster, containers, bridge: found.and_then(|network| network.bridge) }
}

#[cfg(test)]
mod tests {
    use bollard::models::EventActor;

    use super::*;

    fn seen(provider: Provider, containers: &str, network: bool) -> Sight {
        let id = ClusterId { provider, name: "my".to_owned() };
        let listed: Vec<ContainerSummary> = serde_json::from_str(containers).unwrap();
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
        let mut ended = BTreeSet::new();
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
        let mut ended = BTreeSet::new();
        let mut known = Vec::new();
        while event(&mut events, &mut ended).await.is_ok() {
            known.push(ended.len());
        }
        assert_eq!(known, [1, 0, 1, 0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn events_without_end_do_not_put_off_a_look() {
        let start = Instant::now();
        let flood = futures_util::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok(EventMessage::default()), ()))
        });
        let mut events: Events = Box::pin(flood);
        assert!(wait(&mut events, &mut BTreeSet::new(), &mut NextLook::OnEvent).await.is_ok());
        assert!(start.elapsed() <= BURST + LULL);
    }
}
