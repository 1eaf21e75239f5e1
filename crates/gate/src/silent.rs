//! The mappings that a gate could not listen for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use portgate_core::mapping::Local;
use portgate_core::table::Table;
use tokio::time::Instant;

/// How soon a port that could not be had is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// The mappings that a gate could not listen for, and why: while it was away, another program may have taken a port.
#[derive(Debug, Default)]
pub(crate) struct Silent {
    why: BTreeMap<Local, String>,
    since: Option<Instant>,
}

impl Silent {
    pub(crate) fn insert(&mut self, local: Local, why: String) {
        tracing::error!(%local, why, "the port cannot be had now; it is tried again");
        self.why.insert(local, why);
        self.since = Some(Instant::now());
    }

    /// All of them, which are to be tried again.
    pub(crate) fn take(&mut self) -> Vec<Local> {
        std::mem::take(&mut self.why).into_keys().collect()
    }

    /// Forgets those that the table does not have.
    pub(crate) fn retain(&mut self, table: &Table) {
        self.why.retain(|local, _| table.contains_key(local));
    }

    /// Why this one is not listened for; `None` if it is.
    pub(crate) fn why(&self, local: &Local) -> Option<&str> {
        self.why.get(local).map(String::as_str)
    }

    /// The table without them.
    pub(crate) fn without<'a>(&self, table: &'a Table) -> Cow<'a, Table> {
        if self.why.is_empty() {
            return Cow::Borrowed(table);
        }
        let mut rest = table.clone();
        rest.retain(|local, _| !self.why.contains_key(local));
        Cow::Owned(rest)
    }

    /// Ends when they should be tried again; never, where there are none.
    pub(crate) async fn due(&self) {
        match self.since {
            Some(since) if !self.why.is_empty() => tokio::time::sleep_until(since + AGAIN).await,
            _ => std::future::pending().await,
        }
    }
}
