//! The thread that carries datagrams.

use std::io;
use std::thread;

use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// A runtime of one thread, for as long as this lives.
///
/// In a runtime of several threads, whichever is idle waits for events. In a flood it wakes up for most datagrams that
/// arrive while another one passes on those before them; only to note that the socket is readable, which the other one
/// finds out by itself.
#[derive(Debug)]
pub(crate) struct Thread {
    handle: Handle,
    /// Its end is that of the thread.
    _alive: Option<oneshot::Sender<()>>,
}

impl Thread {
    /// Starts a thread, unless the current runtime has only one anyway.
    pub(crate) fn start() -> io::Result<Self> {
        let current = Handle::current();
        if current.runtime_flavor() == RuntimeFlavor::CurrentThread {
            return Ok(Self { handle: current, _alive: None });
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (alive, ended) = oneshot::channel();
        thread::Builder::new().name("udp".to_owned()).spawn(move || {
            // An error is what it waits for: that nobody holds the other end any more.
            let _ = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _alive: Some(alive) })
    }

    /// Where to spawn the tasks, and to register the sockets.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}
