//! A stream's right to its session, and a session's place among the others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::PodName;
use super::link::{Command, Link};
use super::pool::{Fate, Pool, SessionId};

/// The sessions of a forwarder. They are locked two or three times for a stream, and never for its bytes.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Pool<Arc<Link>>>>);

impl Sessions {
    /// Finds the session for one more stream; `make` makes one.
    pub(super) fn lease(&self, pod: &PodName, make: impl FnOnce(Member) -> Arc<Link>) -> Lease {
        let place = |id| Place { sessions: self.clone(), pod: pod.clone(), id };
        let (id, link) = self.pool().take(pod, |id| make(Member(place(id))));
        Lease { place: place(id), link }
    }

    /// Lets the sessions of all other pods drain.
    pub(super) fn retain(&self, pods: &BTreeSet<PodName>) {
        let others = self.pool().retain(pods);
        for link in others {
            link.command(Command::Drain);
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool<Arc<Link>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a session is found.
struct Place {
    sessions: Sessions,
    pod: PodName,
    id: SessionId,
}

/// A session's membership. It ends when this is dropped.
pub(super) struct Member(Place);

impl Member {
    /// Whose session it is.
    pub(super) fn pod(&self) -> &PodName {
        &self.0.pod
    }

    /// It gets no more streams.
    pub(super) fn leave(&self) {
        self.0.sessions.pool().remove(&self.0.pod, self.0.id);
    }

    /// It has had no stream for long enough, and leaves unless one is on its way.
    pub(super) fn expire(&self) -> Fate {
        self.0.sessions.pool().expire(&self.0.pod, self.0.id)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The right to one stream of a session, for as long as this lives.
pub(super) struct Lease {
    place: Place,
    link: Arc<Link>,
}

impl Lease {
    /// What the session is reached by.
    pub(super) fn link(&self) -> Arc<Link> {
        Arc::clone(&self.link)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let fate = self.place.sessions.pool().give_back(&self.place.pod, self.place.id);
        if fate == Fate::Drains {
            self.link.command(Command::Drain);
        }
    }
}
