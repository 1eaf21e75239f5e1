//! Traffic that runs all the time, every byte of which is checked.
//!
//! It is bounded: some connections and a hundred datagrams a second, about a megabyte a second for each entrance.

mod connections;
mod datagrams;
mod record;
mod stream;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

pub(crate) use connections::exchange as exchange_tcp;
pub(crate) use datagrams::exchange as exchange_udp;
pub(crate) use record::{Exchange, Loss, Record};

use crate::fault::{Entrance, Flow, Traffic};
use crate::random::Random;

/// How long a connection may stand still until it counts as lost: longer than any state that a fault brings about.
pub(crate) const LIMIT: Duration = Duration::from_secs(6);

/// Where an entrance is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) entrance: Entrance,
    pub(crate) tcp: SocketAddr,
    pub(crate) udp: Option<SocketAddr>,
}

/// Traffic through some entrances. It ends when this is dropped.
pub(crate) struct Load {
    records: BTreeMap<Flow, Arc<Record>>,
    _tasks: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(places: &[Place], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (mut records, mut tasks) = (BTreeMap::new(), JoinSet::new());
        for place in places {
            for flow in Flow::of(place.entrance) {
                let record = Arc::new(Record::default());
                records.insert(flow, Arc::clone(&record));
                let seed = random.next();
                match (flow.traffic, place.udp) {
                    (Traffic::Connections, _) => drop(tasks.spawn(connections::run(place.tcp, seed, record))),
                    (Traffic::Stream, _) => drop(tasks.spawn(stream::run(place.tcp, seed, record))),
                    (Traffic::Datagrams, Some(address)) => drop(tasks.spawn(datagrams::run(address, seed, record))),
                    (Traffic::Datagrams, None) => {}
                }
            }
        }
        Self { records, _tasks: tasks }
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (Flow, &Record)> {
        self.records.iter().map(|(flow, record)| (*flow, &**record))
    }
}
