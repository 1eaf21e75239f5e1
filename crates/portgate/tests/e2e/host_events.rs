//! How soon a gate in the host's network knows what happens to its cluster.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use portgate_core::status::Placement;

use crate::placed::{Control, cluster_for};
use crate::support::{Cluster, ECHO, LONG, eventually, free_port, turn, within};

/// How soon a change of the cluster is in the gate's table. The promise is 200 ms; this is for a busy machine.
const NOTICE: Duration = Duration::from_secs(1);

/// How soon a gate is gone whose cluster was deleted, of which it waits two seconds for a cluster of the same name.
const FAREWELL: Duration = Duration::from_secs(10);

/// A gate that is watched.
struct Watched {
    cluster: Cluster,
    control: Control,
}

impl Watched {
    async fn start() -> Option<Self> {
        let cluster = cluster_for(Placement::Host).await?;
        cluster.open_in(Placement::Host, &format!("{}:{ECHO}", free_port())).await;
        let control = cluster.control().await;
        Some(Self { cluster, control })
    }

    fn node(&self) -> String {
        self.cluster.node("server-0")
    }

    /// Does something to the cluster, after which the mapping leads to other backends, and takes the time from the
    /// engine's event of this name to the gate's table.
    async fn notices(&mut self, what: &str, event: &str, act: impl AsyncFnOnce(&Cluster)) -> BTreeSet<String> {
        let before = self.control.backends().await;
        let since = Timestamp::now();
        let (cluster, control) = (&self.cluster, &mut self.control);
        let changed = async {
            let seen = async || Some(control.backends().await).filter(|now| *now != before);
            (within(LONG, seen).await.expect("the gate noticed nothing"), Timestamp::now())
        };
        let ((), (backends, noticed)) = tokio::join!(act(cluster), changed);
        let happened = self.last_event(event, since).await;
        let took = Duration::try_from(noticed.duration_since(happened)).unwrap_or_default();
        println!("{what}: in the gate's table {took:?} after the engine's event");
        assert!(took < NOTICE, "{what}: {took:?}");
        backends
    }

    /// When the engine last told of such an event of one of the cluster's containers.
    async fn last_event(&self, event: &str, since: Timestamp) -> Timestamp {
        let (since, until) = (since.as_second().to_string(), (Timestamp::now().as_second() + 1).to_string());
        let (event, label) = (format!("event={event}"), format!("label=k3d.cluster={}", self.cluster.name));
        let filters = ["--filter", "type=container", "--filter", &event, "--filter", &label];
        let command = ["events", "--since", &since, "--until", &until, "--format", "{{.TimeNano}}"];
        let told = self.cluster.docker(&[&command[..], &filters].concat()).await;
        Timestamp::from_nanosecond(told.lines().last().expect("no such event").parse().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn a_gate_on_the_host_knows_at_once_what_happens_to_its_nodes() {
    let _turn = turn().await;
    let Some(mut watched) = Watched::start().await else { return };
    let node = watched.node();
    assert_eq!(watched.control.backends().await.len(), 1);

    let act = async |cluster: &Cluster| cluster.add_node("agent-0", "agent").await;
    assert_eq!(watched.notices("a node was added", "start", act).await.len(), 2);
    let agent = watched.cluster.node("agent-0");
    let act = async |cluster: &Cluster| drop(cluster.docker(&["rm", "-f", &agent]).await);
    assert_eq!(watched.notices("a node was removed", "die", act).await.len(), 1);

    let old = watched.control.backends().await;
    let act = async |cluster: &Cluster| drop(cluster.docker(&["stop", &node]).await);
    assert_eq!(watched.notices("a node was stopped", "die", act).await.len(), 0);
    let act = async |cluster: &Cluster| drop(cluster.docker(&["start", &node]).await);
    assert_eq!(watched.notices("a node was started", "start", act).await, old);

    let address = watched.cluster.address("server-0").await;
    let act = async |cluster: &Cluster| drop(cluster.docker(&["stop", &node]).await);
    assert_eq!(watched.notices("a node was stopped again", "die", act).await.len(), 0);
    eventually(async || (watched.cluster.occupy_an_address().await == address).then_some(())).await;
    let act = async |cluster: &Cluster| drop(cluster.docker(&["start", &node]).await);
    let new = watched.notices("a node was started with another address", "start", act).await;
    assert!(new.len() == 1 && new != old, "{new:?}");
}

#[tokio::test]
async fn a_gate_on_the_host_goes_with_its_cluster() {
    let _turn = turn().await;
    let Some(watched) = Watched::start().await else { return };
    let cluster = &watched.cluster;
    assert_eq!((cluster.tables().await.len(), cluster.files().len()), (1, 2));
    cluster.docker(&["rm", "-f", &watched.node()]).await;
    let deleted = Instant::now();
    let gone = async || cluster.gates().await.is_empty().then_some(());
    within(FAREWELL, gone).await.expect("the gate is still there");
    println!("the gate was gone {:?} after its cluster", deleted.elapsed());
    assert_eq!((cluster.tables().await.len(), cluster.files().len()), (0, 0));
    // The network could be removed, too.
    cluster.docker(&["network", "rm", &cluster.network()]).await;
}
