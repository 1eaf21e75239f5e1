//! Threads that make load until they are told to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::anyhow;

/// Some threads that do the same.
#[derive(Debug)]
pub(super) struct Crew<T> {
    stop: Arc<AtomicBool>,
    hands: Vec<JoinHandle<io::Result<T>>>,
}

/// Whether to go on.
#[derive(Clone, Debug)]
pub(super) struct Orders(Arc<AtomicBool>);

impl Orders {
    pub(super) fn go_on(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

impl<T: Send + 'static> Crew<T> {
    /// Starts `count` threads.
    pub(super) fn start(count: usize, work: impl Fn(&Orders) -> io::Result<T> + Clone + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hand = |_| {
            let (orders, work) = (Orders(Arc::clone(&stop)), work.clone());
            thread::spawn(move || work(&orders))
        };
        let hands = (0..count).map(hand).collect();
        Self { stop, hands }
    }

    /// Ends them all, and returns what each comes back with.
    pub(super) async fn dismiss(mut self) -> anyhow::Result<Vec<T>> {
        self.stop.store(true, Ordering::Relaxed);
        let hands = std::mem::take(&mut self.hands);
        let join = move || hands.into_iter().map(JoinHandle::join).collect::<Vec<_>>();
        let mut yields = Vec::new();
        for outcome in tokio::task::spawn_blocking(join).await? {
            yields.push(outcome.map_err(|_| anyhow!("a load generator panicked"))??);
        }
        Ok(yields)
    }
}

impl<T> Drop for Crew<T> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
