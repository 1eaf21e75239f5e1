//! The connections that are open, so that they can be cut.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Connections(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    cut: CancellationToken,
    /// Whose port-forwards it carries.
    pod: Option<PodName>,
}

/// A pod's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PodName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// One connection, as long as it is open.
#[derive(Debug)]
pub(crate) struct Connection {
    all: Arc<Connections>,
    number: u64,
    /// The order to break off.
    pub(crate) cut: CancellationToken,
}

impl Connections {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(self: &Arc<Self>) -> Connection {
        let cut = CancellationToken::new();
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.entries.insert(number, Entry { cut: cut.clone(), pod: None });
        Connection { all: Arc::clone(self), number, cut }
    }

    /// Cuts the connections of this choice, which is told whose port-forwards one carries.
    pub(crate) fn cut(&self, chosen: impl Fn(Option<&PodName>) -> bool) {
        let open = self.open();
        for entry in open.entries.values().filter(|entry| chosen(entry.pod.as_ref())) {
            entry.cut.cancel();
        }
    }

    /// How many there are, and how many of them carry port-forwards.
    pub(crate) fn count(&self) -> (usize, usize) {
        let open = self.open();
        (open.entries.len(), open.entries.values().filter(|entry| entry.pod.is_some()).count())
    }
}

impl Connection {
    /// From now on, it carries the pod's port-forwards.
    pub(crate) fn carries(&self, pod: PodName) {
        if let Some(entry) = self.all.open().entries.get_mut(&self.number) {
            entry.pod = Some(pod);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.open().entries.remove(&self.number);
    }
}
