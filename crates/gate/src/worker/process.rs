//! A worker's process, seen from the supervisor.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::WorkerSettings;
use super::channel::{Channel, Received};
use super::message::{Order, Report, Setup};

/// A running worker. Dropping it closes the socket, which ends the process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    channel: Channel<Order, Report>,
    started: Instant,
    /// The last mark that was set, and the last that was reached.
    set: u64,
    reached: u64,
}

/// What comes from a worker.
pub(super) enum Happening {
    Report(Report),
    /// It ended, and this is how.
    End(String),
}

impl Process {
    pub(super) fn start(settings: &WorkerSettings) -> io::Result<Self> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut channel = Channel::new(near, 0)?;
        let WorkerSettings { identity, limits, .. } = settings.clone();
        channel.send(&Order::Setup(Setup { identity, limits }))?;
        let child = spawn(command(settings, far))?;
        Ok(Self { child, channel, started: Instant::now(), set: 0, reached: 0 })
    }

    /// The process id, unless it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn lived(&self) -> Duration {
        self.started.elapsed()
    }

    /// Queues an order, with descriptors.
    pub(super) fn order(&mut self, order: &Order, descriptors: Arc<[OwnedFd]>) {
        if let Err(error) = self.channel.send_with(order, descriptors) {
            tracing::error!(%error, "cannot tell the worker what to do");
        }
    }

    /// Asks to be told when all orders so far are obeyed, and returns the mark to wait for.
    pub(super) fn mark(&mut self) -> u64 {
        self.set += 1;
        self.order(&Order::Mark { number: self.set }, Arc::default());
        self.set
    }

    pub(super) fn has_reached(&self, mark: u64) -> bool {
        self.reached >= mark
    }

    /// Sends what is queued until something comes back. Cancel-safe.
    pub(super) async fn next(&mut self) -> Happening {
        match self.channel.next().await {
            Ok(Some(Received { message, .. })) => {
                if let Report::Reached { mark } = message {
                    self.reached = mark;
                }
                Happening::Report(message)
            }
            // Only when it has ended, its copies of the sockets are closed.
            Ok(None) => Happening::End(match self.child.wait().await {
                Ok(status) => status.to_string(),
                Err(error) => format!("unknown: {error}"),
            }),
            Err(error) => Happening::End(format!("it cannot be talked to: {error}")),
        }
    }
}

/// The worker's socket is its standard input. A terminal's signals do not reach it: the supervisor decides when it
/// ends.
fn command(settings: &WorkerSettings, socket: OwnedFd) -> Command {
    let mut command = Command::new(&settings.program);
    command.args(&settings.arguments).env_clear().envs(allocator()).current_dir("/").stdin(Stdio::from(socket));
    command.process_group(0).kill_on_drop(true);
    if let Some(identity) = settings.identity {
        // It also leaves all supplementary groups.
        command.uid(identity.uid).gid(identity.gid);
    }
    command
}

/// What the environment says to glibc's allocator, of which the worker has one of its own.
fn allocator() -> impl Iterator<Item = (OsString, OsString)> {
    env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"MALLOC_"))
}

/// Starts a process that can never get a right that it has not.
///
/// Both are a matter of threads, and inherited: a thread that does nothing else gives the rights up, so that each
/// thread of the process is without them from its first instruction, and those of the supervisor keep theirs.
fn spawn(mut command: Command) -> io::Result<Child> {
    let runtime = Handle::current();
    let spawn = move || {
        let _entered = runtime.enter();
        set_no_new_privs(true)?;
        set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..capabilities(None)? })?;
        command.spawn()
    };
    let thread = thread::Builder::new().name("spawn".to_owned()).spawn(spawn)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts the worker panicked")))
}
