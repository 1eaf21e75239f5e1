//! What has happened so far.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::resource::{Resource, Verb};

/// What has happened so far, and what is open now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// The requests for objects and port-forwards.
    pub requests: Vec<RequestCount>,
    /// The connections that are open, those that carry a port-forward included.
    pub open_connections: usize,
    /// The port-forward sessions that are open.
    pub open_sessions: usize,
    /// The port-forward sessions that were opened.
    pub sessions: u64,
    /// The connections that were carried in sessions: pairs of a data and an error stream.
    pub streams: u64,
}

/// How many requests of one kind there were, whatever came of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCount {
    /// What they did.
    pub verb: Verb,
    /// To what.
    pub resource: Resource,
    /// How many there were.
    pub count: u64,
}

impl Counters {
    /// How many requests there were that did this to the resource.
    pub fn requests(&self, verb: Verb, resource: Resource) -> u64 {
        let count = self.requests.iter().find(|count| count.verb == verb && count.resource == resource);
        count.map_or(0, |count| count.count)
    }
}

/// Counts.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: Mutex<BTreeMap<(Verb, Resource), u64>>,
    pub(crate) sessions: AtomicU64,
    pub(crate) streams: AtomicU64,
}

impl Tally {
    pub(crate) fn request(&self, verb: Verb, resource: Resource) {
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry((verb, resource)).or_default() += 1;
    }

    /// The counters, where so much is open.
    pub(crate) fn counters(&self, open_connections: usize, open_sessions: usize) -> Counters {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |(&(verb, resource), &count): (&(Verb, Resource), &u64)| RequestCount { verb, resource, count };
        Counters {
            requests: requests.iter().map(count).collect(),
            open_connections,
            open_sessions,
            sessions: self.sessions.load(Ordering::Relaxed),
            streams: self.streams.load(Ordering::Relaxed),
        }
    }
}
