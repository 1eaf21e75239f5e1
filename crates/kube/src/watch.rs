//! Following objects: what is known of them, again whenever it changes.

mod backoff;
mod follower;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use jiff::Timestamp;
use portgate_core::causes;
use portgate_core::kubernetes::{ObjectKey, Objects};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::api::Api;
use crate::error::{Call, Error, Verb};
use crate::known::Known;
use crate::resource::{Resource, Selection};
use follower::{Follower, News, Told};

/// For how long changes are collected after the first one: a pod that goes changes several objects at once.
const LULL: Duration = Duration::from_millis(10);

/// How much news may wait to be taken. A server that tells more has to wait.
const WAITING: usize = 64;

/// Follows objects, and the nodes' readiness if that was asked for.
///
/// As long as the API server does not answer, or refuses, what is known stays, and [`Objects::problem`] says why and
/// since when. It is asked again without end, in pauses from 0.1 s to 5 s. Dropping this ends it.
pub struct Watch {
    api: Api,
    keys: BTreeSet<ObjectKey>,
    nodes: bool,
    known: Known,
    followed: BTreeMap<Selection, Followed>,
    followers: JoinSet<()>,
    /// How many followers there were.
    count: u64,
    news: mpsc::Receiver<Told>,
    sender: mpsc::Sender<Told>,
    /// When to tell what has changed.
    due: Option<Instant>,
    told: Option<Objects>,
}

/// A selection that is being followed.
struct Followed {
    id: u64,
    follower: AbortHandle,
    /// Whether it was listed or refused.
    is_answered: bool,
    trouble: Option<Trouble>,
}

/// Why there is no news of a selection.
struct Trouble {
    error: Error,
    since: Timestamp,
}

impl Api {
    /// Follows these objects and, if `nodes` says so, which nodes are ready. Needs a runtime.
    pub fn watch(&self, keys: BTreeSet<ObjectKey>, nodes: bool) -> Watch {
        let (sender, news) = mpsc::channel(WAITING);
        let mut watch = Watch {
            api: self.clone(),
            keys: BTreeSet::new(),
            nodes,
            known: Known::default(),
            followed: BTreeMap::new(),
            followers: JoinSet::new(),
            count: 0,
            news,
            sender,
            due: None,
            told: None,
        };
        watch.follow(keys);
        watch
    }
}

impl Watch {
    /// Follows these objects from now on. What is followed already goes on undisturbed.
    ///
    /// The next [`next`](Self::next) ends once all that is new was listed or refused, whether anything changed or not.
    pub fn follow(&mut self, keys: BTreeSet<ObjectKey>) {
        self.keys = keys;
        self.arrange();
        self.told = None;
        self.due = Some(Instant::now());
    }

    /// What is known of the objects: at first once each of them was listed or refused, then again whenever it differs.
    ///
    /// Cancel-safe.
    pub async fn next(&mut self) -> Objects {
        loop {
            let news = match self.due {
                None => Ok(self.news.recv().await),
                Some(due) => timeout_at(due, self.news.recv()).await,
            };
            match news {
                Ok(Some(Told { id, news, turn: _turn })) => {
                    self.take(id, news);
                    self.due.get_or_insert_with(|| Instant::now() + LULL);
                }
                // Does not happen: a sender is kept for followers to come.
                Ok(None) => std::future::pending().await,
                Err(_) => {
                    self.due = None;
                    if let Some(objects) = self.changed() {
                        return objects;
                    }
                }
            }
        }
    }

    /// What there is to tell, if all was answered and something is different.
    fn changed(&mut self) -> Option<Objects> {
        if self.followed.values().any(|followed| !followed.is_answered) {
            return None;
        }
        let mut objects = Objects { problem: self.problem(), ..self.known.objects(&self.keys) };
        if self.followed.iter().any(|(selection, followed)| followed.is_no_loss(selection)) {
            // A list of them that nobody keeps up to date is worse than none.
            objects.ready_nodes = None;
        }
        if self.told.as_ref() == Some(&objects) {
            return None;
        }
        self.told = Some(objects.clone());
        Some(objects)
    }

    /// Follows what is wanted, and nothing else.
    fn arrange(&mut self) {
        let wanted = self.known.wanted(&self.keys, self.nodes);
        let (kept, ended): (BTreeMap<_, _>, BTreeMap<_, _>) =
            mem::take(&mut self.followed).into_iter().partition(|(selection, _)| wanted.contains(selection));
        self.followed = kept;
        let new: Vec<Selection> = wanted.into_iter().filter(|new| !self.followed.contains_key(new)).collect();
        for (selection, followed) in ended {
            followed.follower.abort();
            self.known.hand_over(&selection, &new);
        }
        while self.followers.try_join_next().is_some() {}
        for selection in new {
            self.count += 1;
            let (api, news) = (self.api.clone(), self.sender.clone());
            let follower = Follower { api, selection: selection.clone(), id: self.count, news };
            let follower = self.followers.spawn(follower.follow());
            self.followed.insert(selection, Followed { id: self.count, follower, is_answered: false, trouble: None });
        }
    }

    /// Takes note of news. What a follower said before it was ended does not count.
    fn take(&mut self, id: u64, news: News) {
        let Some((selection, followed)) = self.followed.iter_mut().find(|(_, followed)| followed.id == id) else {
            return;
        };
        let call = |verb| Call::of(verb, selection, &self.api.access());
        match news {
            News::Listed(objects) => {
                followed.is_answered = true;
                if let Err(limit) = self.known.set(selection, objects) {
                    followed.fail(Error::too_much(call(Verb::List), limit), Timestamp::now());
                }
            }
            News::Watching => followed.trouble = None,
            News::Put(object) => {
                if let Err(limit) = self.known.put(selection, object) {
                    followed.fail(Error::too_much(call(Verb::Watch), limit), Timestamp::now());
                }
            }
            News::Gone(place) => self.known.remove(selection, &place),
            News::Failed(error) => {
                followed.is_answered = true;
                followed.fail(error, Timestamp::now());
                return;
            }
        }
        if selection.resource.is_workload() {
            self.arrange();
        }
    }

    /// Why what is known is not all, or not the newest. If the server itself is the reason, it is said once.
    fn problem(&self) -> Option<String> {
        let troubles = self.followed.iter().filter(|(selection, followed)| !followed.is_no_loss(selection));
        let mut troubles: Vec<&Trouble> = troubles.filter_map(|(_, followed)| followed.trouble.as_ref()).collect();
        if let Some(first) = troubles.iter().filter(|trouble| trouble.error.is_of_server()).min_by_key(|t| t.since) {
            troubles = vec![first];
        }
        let troubles: Vec<String> = troubles.into_iter().map(Trouble::line).collect();
        (!troubles.is_empty()).then(|| troubles.join("; "))
    }
}

impl Followed {
    /// Takes note of a failure. As long as it is the same one, it goes on since the first time.
    fn fail(&mut self, error: Error, now: Timestamp) {
        match &mut self.trouble {
            Some(trouble) if mem::discriminant(&trouble.error) == mem::discriminant(&error) => {}
            trouble => {
                let hint = error.hint();
                tracing::warn!(error = causes::line(&error), hint, "cannot follow; what is known stays");
                let since = trouble.as_ref().map_or(now, |trouble| trouble.since);
                *trouble = Some(Trouble { error, since });
            }
        }
    }

    /// Nodes that may not be seen are not known, and that is all.
    fn is_no_loss(&self, selection: &Selection) -> bool {
        let is_forbidden = |trouble: &Trouble| matches!(trouble.error, Error::Forbidden { .. });
        selection.resource == Resource::Nodes && self.trouble.as_ref().is_some_and(is_forbidden)
    }
}

impl Trouble {
    fn line(&self) -> String {
        format!("{}, since {:.0}", causes::line(&self.error), self.since)
    }
}

#[cfg(test)]
mod tests;
