//! The threads that carry traffic.

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// Some threads, as a rule one for each processor, each with a runtime of its own, for as long as this lives.
///
/// What is given to a thread stays there: sockets, buffers and wake-ups of a connection are always on the same one, and a
/// thread wakes up for what is its own only. The threads of a common runtime take over one another's tasks, and
/// whichever is idle waits for the events of all.
#[derive(Debug)]
pub(crate) struct Threads {
    first: Arc<Thread>,
    others: Vec<Arc<Thread>>,
}

#[derive(Debug)]
struct Thread {
    handle: Handle,
    /// How many places on it are taken.
    taken: AtomicUsize,
    /// Its end is that of the thread.
    _alive: Option<oneshot::Sender<()>>,
}

/// A place on a thread, taken for as long as this lives.
#[derive(Debug)]
pub(crate) struct Place(Arc<Thread>);

impl Threads {
    /// Starts so many threads, unless the current runtime has only one anyway: then that one carries all.
    pub(crate) fn start(count: NonZero<usize>) -> io::Result<Self> {
        let current = Handle::current();
        if current.runtime_flavor() == RuntimeFlavor::CurrentThread {
            let first = Arc::new(Thread { handle: current, taken: AtomicUsize::new(0), _alive: None });
            return Ok(Self { first, others: Vec::new() });
        }
        let others = (1..count.get()).map(|_| Thread::start()).collect::<io::Result<_>>()?;
        Ok(Self { first: Thread::start()?, others })
    }

    /// A place on the thread where the fewest are taken; if there is a choice, on the one where this neighbour is.
    pub(crate) fn place(&self, neighbour: Option<&Place>) -> Place {
        let is_near = |thread: &Arc<Thread>| neighbour.is_some_and(|place| Arc::ptr_eq(&place.0, thread));
        let rank = |thread: &Arc<Thread>| (thread.taken.load(Ordering::Relaxed), !is_near(thread));
        let better = |best, thread| if rank(thread) < rank(best) { thread } else { best };
        let thread = self.others.iter().fold(&self.first, better);
        thread.taken.fetch_add(1, Ordering::Relaxed);
        Place(thread.clone())
    }
}

impl Thread {
    fn start() -> io::Result<Arc<Self>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new().name("relay".to_owned()).spawn(move || {
            // An error is what it waits for: that nobody holds the other end any more.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Arc::new(Self { handle, taken: AtomicUsize::new(0), _alive: Some(alive) }))
    }
}

impl Place {
    /// Where to spawn the task that has this place, and to register its sockets.
    pub(crate) fn handle(&self) -> &Handle {
        &self.0.handle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_beside(one: &Place, other: &Place) -> bool {
        Arc::ptr_eq(&one.0, &other.0)
    }

    #[tokio::test]
    async fn places_are_taken_where_the_fewest_are_and_near_if_there_is_a_choice() {
        let (first, other) = (Thread::start().unwrap(), Thread::start().unwrap());
        let threads = Threads { first, others: vec![other] };
        let (one, two) = (threads.place(None), threads.place(None));
        assert!(!is_beside(&one, &two));
        let near = threads.place(Some(&two));
        assert!(is_beside(&near, &two));
        let far = threads.place(Some(&two));
        assert!(is_beside(&far, &one));
        drop(near);
        assert!(is_beside(&threads.place(Some(&one)), &two), "there is room again");
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_carries_all_by_itself() {
        let threads = Threads::start(NonZero::new(2).unwrap()).unwrap();
        assert!(threads.others.is_empty());
        let here = std::thread::current().id();
        let place = threads.place(None);
        let there = place.handle().spawn(async { std::thread::current().id() }).await.unwrap();
        assert_eq!(here, there);
    }
}
