//! Following one selection: a list, and then its changes for as long as the server tells them.
//!
//! A watch that ends in good order is taken up where it ended. After a failure everything is listed anew: the server
//! may have lost its history, and would tell nothing of what happened since.

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::backoff::Backoff;
use crate::answer::{Failed, Line, Lines, Turn};
use crate::api::{Api, List};
use crate::error::{Call, Error, Verb};
use crate::objects::{self, Event, Object, Place, Unread};
use crate::resource::{Resource, Selection};

/// For how long the server is asked to tell changes: this and up to as much again, so that many watches do not end at
/// the same time.
const WATCH: Duration = Duration::from_mins(5);

/// How much longer it may take until it is taken for dead.
const GRACE: Duration = Duration::from_secs(30);

/// A watch that ends earlier is not taken up at once: such a server would be asked without pause.
const BRIEF: Duration = Duration::from_secs(1);

/// When nodes are asked for again that may not be seen. Nobody waits for them.
const FORBIDDEN_NODES: Duration = Duration::from_mins(5);

/// What is told of a selection.
#[derive(Debug)]
pub(super) enum News {
    /// These are all of its objects.
    Listed(Vec<Object>),
    /// Its changes are being told from now on.
    Watching,
    /// An object is new or has changed.
    Put(Object),
    /// An object is gone.
    Gone(Place),
    /// Nothing is told for now. It is tried again.
    Failed(Error),
}

/// News, and the right to hold what they are about until they are taken.
pub(super) struct Told {
    /// Whose they are.
    pub(super) id: u64,
    pub(super) news: News,
    pub(super) turn: Turn,
}

/// Follows one selection.
pub(super) struct Follower {
    pub(super) api: Api,
    pub(super) selection: Selection,
    /// By what number its news are known.
    pub(super) id: u64,
    pub(super) news: mpsc::Sender<Told>,
}

impl Follower {
    /// Follows it without end.
    pub(super) async fn follow(self) {
        let mut backoff = Backoff::new(Instant::now());
        loop {
            let Err(error) = self.round(&mut backoff).await;
            let mut pause = backoff.pause(Instant::now(), random());
            if matches!(error, Error::Forbidden { .. }) && self.selection.resource == Resource::Nodes {
                pause = FORBIDDEN_NODES;
            }
            // That the server does not remember so much is no failure: it tells everything anew.
            if !error.is_gone() {
                self.tell(News::Failed(error), Turn::default()).await;
            }
            sleep(pause).await;
        }
    }

    /// Lists once, and tells changes until something fails.
    async fn round(&self, backoff: &mut Backoff) -> Result<Infallible, Error> {
        let List { objects, mut version, turn } = self.api.list(&self.selection).await?;
        self.tell(News::Listed(objects), turn).await;
        loop {
            let begun = Instant::now();
            let limit = WATCH + Duration::from_secs(random() % WATCH.as_secs());
            let lines = self.api.changes(&self.selection, &version, limit).await?;
            self.tell(News::Watching, Turn::default()).await;
            self.read(lines, begun + limit + GRACE, &mut version).await?;
            if begun.elapsed() < BRIEF {
                sleep(backoff.pause(Instant::now(), random())).await;
            }
        }
    }

    /// Tells what the lines say, until they end. A connection that breaks is an end like another: whether the server is
    /// away shows when it is asked again.
    async fn read(&self, mut lines: Lines, end: Instant, version: &mut String) -> Result<(), Error> {
        while let Ok(line) = timeout_at(end, lines.next()).await {
            let line = line.map_err(|failed| self.failure(failed))?;
            let Some(Line { text, turn }) = line else { return Ok(()) };
            let event = match objects::event(self.selection.resource, &text) {
                Ok(event) => event,
                // The last line of a broken connection.
                Err(Unread::Malformed(error)) if error.is_eof() => return Ok(()),
                Err(unread) => return Err(Error::of_unread(self.call(), unread)),
            };
            let news = match event {
                Event::Put(object) => {
                    version.clone_from(&object.version);
                    News::Put(object)
                }
                Event::Gone(place, at) => {
                    *version = at;
                    News::Gone(place)
                }
                Event::Bookmark(at) => {
                    *version = at;
                    continue;
                }
                Event::Refused(status) => return Err(Error::of_status(self.call(), &status)),
            };
            self.tell(news, turn).await;
        }
        Ok(())
    }

    fn failure(&self, failed: Failed) -> Error {
        self.api.failure(self.call(), failed)
    }

    fn call(&self) -> Call {
        Call::of(Verb::Watch, &self.selection, &self.api.access())
    }

    /// Waits until there is room for the news. Whoever does not listen any more has ended this task.
    async fn tell(&self, news: News, turn: Turn) {
        self.news.send(Told { id: self.id, news, turn }).await.ok();
    }
}

/// A number that others do not have at the same time. Each hasher of the standard library has keys of its own.
fn random() -> u64 {
    RandomState::new().hash_one(())
}
