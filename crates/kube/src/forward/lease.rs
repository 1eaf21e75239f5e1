//! A stream's right to its session, and a session's place among the others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc::UnboundedReceiver;

use super::PodName;
use super::link::{Command, Link};
use super::pool::{Fate, Pool, SessionId};

/// The sessions of a forwarder. They are locked two or three times for a stream, and never for its bytes.
#[derive(Clone, Default)]
pub(super) struct Sessions(Arc<Mutex<Pool<Arc<Link>>>>);

impl Sessions {
    /// Finds the session for one more stream. If it is a new one, it is to be connected.
    pub(super) fn lease(&self, pod: &PodName) -> (Lease, Option<New>) {
        let mut made = None;
        let new_link = || {
            let (link, commands) = Link::new();
            made = Some(commands);
            Arc::new(link)
        };
        let (id, link) = self.pool().take(pod, new_link);
        let place = || Place { sessions: self.clone(), pod: pod.clone(), id };
        let new = made.map(|commands| New { member: Member(place()), link: Arc::clone(&link), commands });
        (Lease { place: place(), link }, new)
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

/// A session that is reached already, but not connected yet.
pub(super) struct New {
    pub(super) member: Member,
    pub(super) link: Arc<Link>,
    pub(super) commands: UnboundedReceiver<Command>,
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
