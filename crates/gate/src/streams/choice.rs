//! Which pod a connection goes to.

use std::sync::{Mutex, PoisonError};

use portgate_core::table::{Backend, NoBackend, Resolution};
use tokio::sync::watch;

/// The pods that take connections, and whose turn it is.
#[derive(Debug)]
pub(super) struct Choice {
    resolution: watch::Sender<Resolution>,
    sticky: bool,
    last: Mutex<Option<Backend>>,
}

impl Choice {
    pub(super) fn new(resolution: Resolution, sticky: bool) -> Self {
        Self { resolution: watch::Sender::new(resolution), sticky, last: Mutex::new(None) }
    }

    /// Chooses among others from now on.
    pub(super) fn replace(&self, resolution: Resolution) {
        self.resolution.send_if_modified(|current| {
            let differ = *current != resolution;
            *current = resolution;
            differ
        });
    }

    /// Tells of each change from now on.
    pub(super) fn subscribe(&self) -> watch::Receiver<Resolution> {
        self.resolution.subscribe()
    }

    /// All that take connections now.
    pub(super) fn all(&self) -> Vec<Backend> {
        self.resolution.borrow().clone().unwrap_or_default()
    }

    /// The next one in turn, or the one before if it is to be kept and is still there; none of `failed`, as long as there
    /// are others.
    pub(super) fn next(&self, failed: &[Backend]) -> Result<Backend, NoBackend> {
        let all = self.resolution.borrow().clone()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = last.as_ref().and_then(|last| all.iter().position(|backend| backend == last));
        let start = match before {
            Some(index) if self.sticky => index,
            Some(index) => index + 1,
            None => 0,
        };
        let turn = || all.iter().cycle().skip(start).take(all.len());
        let chosen = turn().find(|backend| !failed.contains(backend)).or_else(|| turn().next());
        last.clone_from(&chosen.cloned());
        // An empty list would be a resolution without a reason, which there is none of.
        chosen.cloned().ok_or(NoBackend::ClusterStopped)
    }
}

#[cfg(test)]
mod tests {
    use portgate_core::table::Reach;

    use super::*;

    fn pods(names: &[&str]) -> Vec<Backend> {
        let pod =
            |name: &&str| Backend { node: (*name).to_owned(), address: ([10, 42, 0, 1], 80).into(), reach: Reach::Api };
        names.iter().map(pod).collect()
    }

    fn chosen(choice: &Choice, count: usize) -> Vec<String> {
        (0..count).map(|_| choice.next(&[]).unwrap().node).collect()
    }

    #[test]
    fn pods_take_turns() {
        let choice = Choice::new(Ok(pods(&["a", "b", "c"])), false);
        assert_eq!(chosen(&choice, 4), ["a", "b", "c", "a"]);
        choice.replace(Ok(pods(&["b", "c"])));
        assert_eq!(chosen(&choice, 3), ["b", "c", "b"]);
    }

    #[test]
    fn a_sticky_mapping_changes_its_pod_only_when_it_goes() {
        let choice = Choice::new(Ok(pods(&["a", "b"])), true);
        assert_eq!(chosen(&choice, 3), ["a", "a", "a"]);
        choice.replace(Ok(pods(&["b", "c"])));
        assert_eq!(chosen(&choice, 2), ["b", "b"]);
        choice.replace(Ok(pods(&["a", "b", "c"])));
        assert_eq!(chosen(&choice, 2), ["b", "b"]);
    }

    #[test]
    fn a_pod_that_failed_is_passed_over_unless_it_is_the_only_one() {
        let choice = Choice::new(Ok(pods(&["a", "b"])), true);
        assert_eq!(choice.next(&pods(&["a"])).unwrap().node, "b");
        assert_eq!(choice.next(&pods(&["a", "b"])).unwrap().node, "b");
        choice.replace(Err(NoBackend::ClusterStopped));
        assert_eq!(choice.next(&[]), Err(NoBackend::ClusterStopped));
    }
}
