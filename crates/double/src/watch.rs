//! Watching objects.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, Interval, MissedTickBehavior, Sleep};

use crate::answer::{Body, line};
use crate::empty;
use crate::list::in_namespace;
use crate::options::{Options, Since, Watch};
use crate::request::Attributes;
use crate::selector::Selector;
use crate::status::Status;
use crate::store::{Change, Store};

/// The annotation of the bookmark after the initial events.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

/// A watch that is going on.
struct Ongoing {
    store: Arc<Store>,
    request: Attributes,
    selector: Selector,
    /// The revision up to which everything is told.
    seen: u64,
    /// What is to be told next.
    pending: VecDeque<Bytes>,
    revisions: Receiver<u64>,
    /// When to send a bookmark, if they are wanted.
    bookmarks: Option<Interval>,
    /// When it is over; `None`: with the last of what is pending.
    end: Option<Pin<Box<Sleep>>>,
}

/// Starts a watch: its events as a body that lasts.
pub(crate) fn watch(
    store: &Arc<Store>,
    request: &Attributes,
    options: Options<Watch>,
    every: Duration,
) -> Result<Body, Status> {
    let Options { selector, ask } = options;
    let mut revisions = store.revisions();
    revisions.mark_changed();
    let mut watch = Ongoing {
        store: Arc::clone(store),
        request: request.clone(),
        selector,
        seen: store.revision(),
        pending: VecDeque::new(),
        revisions,
        bookmarks: ask.bookmarks.then(|| bookmarks(every)),
        end: Some(Box::pin(tokio::time::sleep(ask.lasts))),
    };
    match ask.since {
        Since::Now => {}
        Since::Beginning => watch.tell_all()?,
        Since::Listed(wanted) if wanted > watch.seen => return Err(Status::too_large(wanted, watch.seen)),
        Since::Listed(_) => {
            watch.tell_all()?;
            if ask.bookmarks {
                watch.bookmark(true);
            }
        }
        Since::Revision(revision) => watch.resume(revision),
    }
    let events = stream::unfold(watch, async |mut watch: Ongoing| {
        let event = watch.next().await?;
        Some((Ok::<_, Infallible>(Frame::data(event)), watch))
    });
    Ok(StreamBody::new(events).boxed_unsync())
}

fn bookmarks(every: Duration) -> Interval {
    // A period of nothing is none that tokio has.
    let every = every.max(Duration::from_millis(1));
    let mut interval = tokio::time::interval_at(Instant::now() + every, every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Ongoing {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            let end = self.end.as_mut()?;
            tokio::select! {
                changed = self.revisions.changed() => {
                    changed.ok()?;
                    self.catch_up();
                }
                () = tick(self.bookmarks.as_mut()) => {
                    self.catch_up();
                    self.bookmark(false);
                }
                () = end => return None,
            }
        }
    }

    /// Every object as if it were new.
    fn tell_all(&mut self) -> Result<(), Status> {
        let snapshot = self.store.snapshot(self.request.resource, None);
        let snapshot = snapshot.map_err(|_| Status::internal("the newest state is gone"))?;
        self.seen = snapshot.revision;
        for (_, object) in &snapshot.objects {
            if self.sees(object) {
                self.tell("ADDED", object);
            }
        }
        Ok(())
    }

    /// Everything after the revision, or the error that tells that it is forgotten.
    fn resume(&mut self, revision: u64) {
        match self.store.remembers(revision) {
            Ok(()) => self.seen = revision,
            Err(forgotten) => {
                let message = format!("too old resource version: {revision} ({})", forgotten.revision);
                self.tell("ERROR", &Status::expired(message).object());
                self.end = None;
            }
        }
    }

    fn catch_up(&mut self) {
        let (revision, changes) = self.store.changes(self.request.resource, self.seen);
        for change in &changes {
            self.tell_change(change);
        }
        // Of a revision that is still to come, the watch says nothing until it has come.
        self.seen = self.seen.max(revision);
    }

    /// An object that a selector no longer selects is deleted as far as this watch can see; and the other way round.
    fn tell_change(&mut self, change: &Change) {
        let before = change.before.as_deref().filter(|object| self.sees(object));
        let after = change.after.as_deref().filter(|object| self.sees(object));
        match (before, after) {
            (None, None) => {}
            (None, Some(after)) => self.tell("ADDED", after),
            (Some(_), Some(after)) => self.tell("MODIFIED", after),
            (Some(before), None) => {
                let mut last = before.clone();
                last["metadata"]["resourceVersion"] = change.revision.to_string().into();
                self.tell("DELETED", &last);
            }
        }
    }

    fn sees(&self, object: &Value) -> bool {
        in_namespace(&self.request, object) && self.selector.matches(object)
    }

    /// Tells up to which revision everything is told.
    fn bookmark(&mut self, initial_events_end: bool) {
        let mut object = empty::object(self.request.resource);
        object["metadata"]["resourceVersion"] = self.seen.to_string().into();
        if initial_events_end {
            object["metadata"]["annotations"] = json!({INITIAL_EVENTS_END: "true"});
        }
        self.tell("BOOKMARK", &object);
    }

    fn tell(&mut self, event: &str, object: &Value) {
        self.pending.push_back(line(&json!({"type": event, "object": object})));
    }
}

/// The next time for a bookmark, which never comes if none are wanted.
async fn tick(bookmarks: Option<&mut Interval>) {
    match bookmarks {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}
