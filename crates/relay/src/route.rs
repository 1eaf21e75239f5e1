//! Where a mapping leads now: swappable, and without a wait for its readers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portgate_core::table::{Backend, NoBackend, Resolution};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a backend that failed is tried after the others.
const PENALTY: Duration = Duration::from_secs(1);

/// A backend, and how it did of late. It keeps its identity, and its penalty, for as long as routes contain it.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) backend: Backend,
    failed: Mutex<Option<Instant>>,
}

impl Candidate {
    fn new(backend: Backend) -> Arc<Self> {
        Arc::new(Self { backend, failed: Mutex::new(None) })
    }

    /// It refused or could not be reached: it is tried last for a second.
    pub(crate) fn penalise(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_penalised(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|failed| failed.elapsed() < PENALTY)
    }
}

/// The candidates of a route, or why it has none.
pub(crate) type Candidates = Result<Arc<[Arc<Candidate>]>, NoBackend>;

/// The way of one mapping.
#[derive(Debug)]
pub(crate) struct Route {
    candidates: watch::Sender<Candidates>,
    turn: AtomicUsize,
}

impl Route {
    pub(crate) fn new(resolution: Resolution) -> Self {
        let candidates = resolution.map(|backends| backends.into_iter().map(Candidate::new).collect());
        Self { candidates: watch::Sender::new(candidates), turn: AtomicUsize::new(0) }
    }

    /// Leads elsewhere from now on. The same resolution again is no change, and wakes nobody.
    pub(crate) fn replace(&self, resolution: Resolution) {
        self.candidates.send_if_modified(|current| {
            let changed = !same(current, &resolution);
            if changed {
                *current = resolution.map(|backends| backends.into_iter().map(|new| keep(current, new)).collect());
            }
            changed
        });
    }

    /// Tells of each change from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Candidates> {
        self.candidates.subscribe()
    }

    /// The candidates in the order to try them: round-robin, those that failed within the last second at the end.
    pub(crate) fn order(&self) -> Result<Vec<Arc<Candidate>>, NoBackend> {
        let candidates = self.candidates.borrow().clone()?;
        let start = self.turn.fetch_add(1, Ordering::Relaxed) % candidates.len().max(1);
        let (later, first) = candidates.split_at(start);
        let mut order: Vec<_> = first.iter().chain(later).cloned().collect();
        order.sort_by_cached_key(|candidate| candidate.is_penalised());
        Ok(order)
    }

    /// Whether the route still leads to `candidate`.
    pub(crate) fn contains(&self, candidate: &Arc<Candidate>) -> bool {
        self.candidates.borrow().as_ref().is_ok_and(|all| all.iter().any(|one| Arc::ptr_eq(one, candidate)))
    }
}

fn same(current: &Candidates, resolution: &Resolution) -> bool {
    match (current, resolution) {
        (Ok(current), Ok(new)) => current.iter().map(|candidate| &candidate.backend).eq(new),
        (Err(current), Err(new)) => current == new,
        _ => false,
    }
}

/// The candidate for `backend`: the current one if there is, so that it keeps its identity.
fn keep(current: &Candidates, backend: Backend) -> Arc<Candidate> {
    let known = current.iter().flat_map(|all| all.iter()).find(|candidate| candidate.backend == backend);
    known.cloned().unwrap_or_else(|| Candidate::new(backend))
}

#[cfg(test)]
mod tests {
    use portgate_core::table::Reach;

    use super::*;

    fn backends(ports: &[u16]) -> Vec<Backend> {
        ports
            .iter()
            .map(|port| Backend {
                node: format!("node-{port}"),
                address: ([127, 0, 0, 1], *port).into(),
                reach: Reach::Node,
            })
            .collect()
    }

    fn ports(route: &Route) -> Vec<u16> {
        route.order().unwrap().iter().map(|candidate| candidate.backend.address.port()).collect()
    }

    #[test]
    fn backends_take_turns() {
        let route = Route::new(Ok(backends(&[1, 2, 3])));
        assert_eq!([ports(&route), ports(&route), ports(&route)], [[1, 2, 3], [2, 3, 1], [3, 1, 2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_backend_that_failed_is_tried_last_for_one_second() {
        let route = Route::new(Ok(backends(&[1, 2])));
        route.order().unwrap()[0].penalise();
        assert_eq!([ports(&route), ports(&route)], [[2, 1], [2, 1]]);
        tokio::time::advance(PENALTY).await;
        assert_eq!([ports(&route), ports(&route)], [[2, 1], [1, 2]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_penalty_outlives_a_swap_of_the_route() {
        let route = Route::new(Ok(backends(&[1])));
        route.order().unwrap()[0].penalise();
        route.replace(Ok(backends(&[1, 2])));
        assert_eq!(ports(&route), [2, 1]);
    }

    #[test]
    fn the_same_resolution_is_no_change() {
        let route = Route::new(Ok(backends(&[1, 2])));
        let changes = route.subscribe();
        route.replace(Ok(backends(&[1, 2])));
        assert!(!changes.has_changed().unwrap());
        route.replace(Err(NoBackend::ClusterStopped));
        assert!(changes.has_changed().unwrap());
        assert_eq!(route.order().unwrap_err(), NoBackend::ClusterStopped);
    }
}
