//! Which session a new stream goes to. Nothing is made or ended here: this only decides.

use std::collections::{BTreeSet, HashMap};

use super::PodName;

/// How many sessions of a pod are made before a further stream shares one that moves.
pub(super) const SESSIONS: usize = 400;

/// How many sessions of a pod are made at most: as many as that only if those before them stand still.
pub(super) const MOST: usize = 1000;

/// How many sessions of a pod without a stream are kept.
pub(super) const IDLE: usize = 8;

/// A session, by its number among all that a pool ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SessionId(u64);

/// What a session is reached by.
pub(super) trait Reach: Clone {
    /// Whether it stands still: one of its streams is not read, at either end.
    fn is_stalled(&self) -> bool;
}

/// What is to become of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may get streams.
    Stays,
    /// It gets no more, and ends with its last.
    Drains,
}

/// The sessions that may get streams, with what they are reached by.
#[derive(Debug)]
pub(super) struct Pool<L> {
    /// Of each pod that has some; the last is the one that became idle last.
    pods: HashMap<PodName, Vec<Entry<L>>>,
    next: u64,
}

#[derive(Debug)]
struct Entry<L> {
    id: SessionId,
    link: L,
    /// Those that are still to be opened included.
    streams: usize,
}

impl<L> Default for Pool<L> {
    fn default() -> Self {
        Self { pods: HashMap::new(), next: 0 }
    }
}

impl<L: Reach> Pool<L> {
    /// Chooses the session for one more stream: an idle one; else a new one, which `make` makes; else, where there are
    /// [`SESSIONS`] of them, of those that do not stand still the one with the fewest streams.
    pub(super) fn take(&mut self, pod: &PodName, make: impl FnOnce() -> L) -> (SessionId, L) {
        let entries = self.pods.entry(pod.clone()).or_default();
        let chosen = match entries.iter().rposition(|entry| entry.streams == 0) {
            Some(idle) => Some(idle),
            None if entries.len() < SESSIONS => None,
            None => fewest(entries, |entry| entries.len() >= MOST || !entry.link.is_stalled()),
        };
        if let Some(entry) = chosen.and_then(|index| entries.get_mut(index)) {
            entry.streams += 1;
            return (entry.id, entry.link.clone());
        }
        let id = SessionId(self.next);
        self.next += 1;
        let link = make();
        entries.push(Entry { id, link: link.clone(), streams: 1 });
        (id, link)
    }

    /// A stream has ended, or was not opened. One idle session too many is not kept.
    pub(super) fn give_back(&mut self, pod: &PodName, id: SessionId) -> Fate {
        let Some(entries) = self.pods.get_mut(pod) else { return Fate::Drains };
        let Some(index) = entries.iter().position(|entry| entry.id == id) else { return Fate::Drains };
        entries[index].streams -= 1;
        if entries[index].streams > 0 {
            return Fate::Stays;
        }
        let entry = entries.remove(index);
        if entries.iter().filter(|entry| entry.streams == 0).count() >= IDLE {
            return Fate::Drains;
        }
        entries.push(entry);
        Fate::Stays
    }

    /// A session has been idle for long enough: it is given up, unless a stream is on its way to it.
    pub(super) fn expire(&mut self, pod: &PodName, id: SessionId) -> Fate {
        let is_wanted = |entry: &Entry<L>| entry.id == id && entry.streams > 0;
        if self.pods.get(pod).is_some_and(|entries| entries.iter().any(is_wanted)) {
            return Fate::Stays;
        }
        self.remove(pod, id);
        Fate::Drains
    }

    /// A session must not get any more streams.
    pub(super) fn remove(&mut self, pod: &PodName, id: SessionId) {
        if let Some(entries) = self.pods.get_mut(pod) {
            entries.retain(|entry| entry.id != id);
            if entries.is_empty() {
                self.pods.remove(pod);
            }
        }
    }

    /// Gives up the sessions of all other pods, and tells which those are.
    pub(super) fn retain(&mut self, pods: &BTreeSet<PodName>) -> Vec<L> {
        let others = self.pods.extract_if(|pod, _| !pods.contains(pod));
        others.flat_map(|(_, entries)| entries).map(|entry| entry.link).collect()
    }
}

/// Where among these the one with the fewest streams is.
fn fewest<L>(entries: &[Entry<L>], among: impl Fn(&Entry<L>) -> bool) -> Option<usize> {
    let among = entries.iter().enumerate().filter(|(_, entry)| among(entry));
    among.min_by_key(|(_, entry)| entry.streams).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    fn pod(name: &str) -> PodName {
        PodName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    /// A session that stands still, or not.
    type Session = Rc<Cell<bool>>;

    impl Reach for Session {
        fn is_stalled(&self) -> bool {
            self.get()
        }
    }

    fn take(pool: &mut Pool<Session>, pod: &PodName) -> SessionId {
        pool.take(pod, Session::default).0
    }

    #[test]
    fn a_stream_goes_to_the_session_that_became_idle_last_or_to_a_new_one() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let (a, b) = (take(&mut pool, &web), take(&mut pool, &web));
        assert_ne!(a, b);
        assert_eq!(pool.give_back(&web, b), Fate::Stays);
        assert_eq!(pool.give_back(&web, a), Fate::Stays);
        assert_eq!([take(&mut pool, &web), take(&mut pool, &web)], [a, b]);
        assert!(![a, b].contains(&take(&mut pool, &web)));
        assert!(![a, b].contains(&take(&mut pool, &pod("db"))));
    }

    #[test]
    fn streams_share_sessions_only_when_there_are_enough_and_then_evenly() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let first: Vec<_> = (0..SESSIONS).map(|_| take(&mut pool, &web)).collect();
        let second: Vec<_> = (0..SESSIONS).map(|_| take(&mut pool, &web)).collect();
        assert_eq!(first, second);
        pool.give_back(&web, first[7]);
        assert_eq!(take(&mut pool, &web), first[7], "the one with the fewest streams");
    }

    #[test]
    fn a_session_that_stands_still_is_not_shared_unless_there_are_far_too_many() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let stalled = || Session::new(Cell::new(true));
        let taken: Vec<_> = (0..MOST).map(|_| pool.take(&web, stalled)).collect();
        assert_eq!(take(&mut pool, &web), taken[0].0);
        taken[5].1.set(false);
        assert_eq!(take(&mut pool, &web), taken[1].0, "any of so many");
        pool.remove(&web, taken[MOST - 1].0);
        assert_eq!(take(&mut pool, &web), taken[5].0, "the only one that moves");
    }

    #[test]
    fn only_some_idle_sessions_are_kept() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let taken: Vec<_> = (0..IDLE + 2).map(|_| take(&mut pool, &web)).collect();
        let fates: Vec<_> = taken.iter().map(|id| pool.give_back(&web, *id)).collect();
        assert_eq!(fates, [vec![Fate::Stays; IDLE], vec![Fate::Drains; 2]].concat());
        assert!(!taken[IDLE..].contains(&take(&mut pool, &web)));
    }

    #[test]
    fn an_idle_session_expires_unless_a_stream_is_on_its_way() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let id = take(&mut pool, &web);
        assert_eq!(pool.expire(&web, id), Fate::Stays);
        pool.give_back(&web, id);
        assert_eq!(pool.expire(&web, id), Fate::Drains);
        assert_ne!(take(&mut pool, &web), id);
    }

    #[test]
    fn a_session_that_was_removed_gets_nothing_and_ends_with_its_last_stream() {
        let (mut pool, web) = (Pool::default(), pod("web"));
        let id = take(&mut pool, &web);
        pool.remove(&web, id);
        assert_ne!(take(&mut pool, &web), id);
        assert_eq!(pool.give_back(&web, id), Fate::Drains);
    }

    #[test]
    fn the_sessions_of_pods_that_are_gone_are_given_up() {
        let (mut pool, web, db) = (Pool::default(), pod("web"), pod("db"));
        let (a, b) = (take(&mut pool, &web), take(&mut pool, &db));
        pool.give_back(&db, b);
        assert_eq!(pool.retain(&[db.clone()].into()).len(), 1);
        assert_eq!(take(&mut pool, &db), b);
        assert_eq!(pool.give_back(&web, a), Fate::Drains);
    }
}
