//! A worker's process, seen from the supervisor.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use portgate_core::limits::{WORKER_COUNTERS, WORKER_REPORT};
use portgate_core::mapping::Local;
use portgate_core::status::Counters;
use portgate_relay::Urgency;
use rustix::fs::Uid;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_no_new_privs, set_thread_res_uid,
};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::channel::{Accepts, Channel, Received};
use super::message::{Order, Report, Setup};
use super::{Identity, Refused, WorkerSettings};

/// How long a worker may take to obey. One that takes longer is replaced.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a worker may live without its socket.
const GRACE: Duration = Duration::from_secs(1);

/// After so many orders a worker has to show that it obeys them.
const ORDERS: usize = 256;

/// One wish of each urgency.
const WISHES: usize = 2;

/// A running worker. Dropping it closes the socket, which ends the process.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    identity: Option<Identity>,
    channel: Channel<Order, Report>,
    started: Instant,
    /// The last mark that was set, and the last that was reached.
    set: u64,
    reached: u64,
    /// How many orders came after the last mark.
    unmarked: usize,
    /// Until when it has to reach another mark.
    due: Option<Instant>,
    /// How many reports it may send, of those that it was asked for.
    owed: usize,
    /// How many wishes it may send.
    wishes: usize,
    /// When its end of the socket was found closed.
    closed: Option<Instant>,
}

/// What comes from a worker. Its texts are as long as it likes, up to the length of a report.
pub(super) enum Happening {
    /// All orders before a mark are obeyed.
    Reached,
    Refused(Refused),
    Counters(Vec<(Local, Counters)>),
    Wish {
        round: u64,
        urgency: Urgency,
    },
    /// It ended, or has to, and this is why.
    End(String),
}

impl Process {
    /// `freshness`: how old a resolution may be for the worker to do without another.
    pub(super) fn start(settings: &WorkerSettings, freshness: Option<Duration>) -> io::Result<Self> {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut channel = Channel::new(near, Accepts { bytes: WORKER_REPORT, descriptors: 0 })?;
        let WorkerSettings { identity, limits, .. } = settings.clone();
        channel.send(&Order::Setup(Setup { identity, limits, freshness }))?;
        let child = spawn(command(settings, far))?;
        Ok(Self {
            child,
            identity,
            channel,
            started: Instant::now(),
            set: 0,
            reached: 0,
            unmarked: 0,
            due: None,
            owed: 0,
            wishes: if freshness.is_some() { WISHES } else { 0 },
            closed: None,
        })
    }

    /// The process id, unless it has ended.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    pub(super) fn lived(&self) -> Duration {
        self.started.elapsed()
    }

    /// Queues an order, with descriptors. It has to be obeyed within [`PATIENCE`].
    pub(super) fn order(&mut self, order: &Order, descriptors: Arc<[OwnedFd]>) {
        self.owed += usize::from(matches!(order, Order::Open { .. }));
        self.wishes = if matches!(order, Order::Refreshed { .. }) { WISHES } else { self.wishes };
        self.queue(order, descriptors);
        self.unmarked += 1;
        if self.unmarked >= ORDERS {
            self.mark();
        }
    }

    /// Asks for the counters of so many mappings.
    pub(super) fn count(&mut self, mappings: usize) {
        self.owed += mappings.div_ceil(WORKER_COUNTERS.most);
        self.order(&Order::Count, Arc::default());
    }

    /// Asks to be told when all orders so far are obeyed, and returns the mark to wait for.
    pub(super) fn mark(&mut self) -> u64 {
        self.set += 1;
        self.unmarked = 0;
        self.due.get_or_insert_with(|| Instant::now() + PATIENCE);
        self.queue(&Order::Mark { number: self.set }, Arc::default());
        self.set
    }

    fn queue(&mut self, order: &Order, descriptors: Arc<[OwnedFd]>) {
        if let Err(error) = self.channel.send_with(order, descriptors) {
            tracing::error!(%error, "cannot tell the worker what to do");
        }
    }

    pub(super) fn has_reached(&self, mark: u64) -> bool {
        self.reached >= mark
    }

    /// Sends what is queued until something comes back. Cancel-safe.
    pub(super) async fn next(&mut self) -> Happening {
        if self.unmarked > 0 && self.due.is_none() {
            self.mark();
        }
        let received = tokio::select! {
            received = self.channel.next(), if self.closed.is_none() => received,
            () = overdue(self.due) => return Happening::End(format!("it gave no answer within {PATIENCE:?}")),
            () = std::future::ready(()), if self.closed.is_some() => Ok(None),
        };
        match received {
            Ok(Some(Received { message, .. })) => {
                self.take(message).unwrap_or_else(|| Happening::End("it reported what it was not asked for".to_owned()))
            }
            Ok(None) => self.end().await,
            Err(error) => Happening::End(format!("it cannot be talked to: {error}")),
        }
    }

    /// Checks a report; `None` if the worker had no reason to send it.
    fn take(&mut self, report: Report) -> Option<Happening> {
        match report {
            Report::Reached { mark } => {
                if !(self.reached + 1..=self.set).contains(&mark) {
                    return None;
                }
                self.reached = mark;
                self.due = (mark < self.set).then(|| Instant::now() + PATIENCE);
                if mark == self.set && self.unmarked == 0 {
                    self.owed = 0;
                }
                Some(Happening::Reached)
            }
            Report::Refused(refused) => {
                self.owed = self.owed.checked_sub(1)?;
                Some(Happening::Refused(refused))
            }
            Report::Counters(counters) => {
                self.owed = self.owed.checked_sub(1)?;
                Some(Happening::Counters(counters))
            }
            Report::Wish { round, failed } => {
                self.wishes = self.wishes.checked_sub(1)?;
                Some(Happening::Wish { round, urgency: if failed { Urgency::Failed } else { Urgency::Used } })
            }
        }
    }

    /// Waits for the end of a process whose socket is closed: only then are its copies of the sockets.
    async fn end(&mut self) -> Happening {
        let closed = *self.closed.get_or_insert_with(Instant::now);
        Happening::End(match timeout_at(closed + GRACE, self.child.wait()).await {
            Ok(Ok(status)) => describe(status),
            Ok(Err(error)) => format!("unknown: {error}"),
            Err(_) => "it closed its socket and went on".to_owned(),
        })
    }

    /// Ends the process, whatever it does. One that has ended is left alone.
    ///
    /// Without `CAP_KILL`, that is for processes of the same user: a thread that does nothing else becomes that user.
    pub(super) fn kill(&self) {
        let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) else { return };
        let identity = self.identity;
        let kill = move || {
            if let Some(Identity { uid, .. }) = identity {
                let user = Uid::from_raw(uid);
                set_thread_res_uid(user, user, user)?;
            }
            Ok(kill_process(pid, Signal::KILL)?)
        };
        if let Err(error) = apart("kill", kill) {
            tracing::warn!(%error, "cannot kill a worker");
        }
    }
}

async fn overdue(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// How a process ended.
fn describe(status: ExitStatus) -> String {
    if status.signal() == Some(Signal::SYS.as_raw()) {
        "the kernel killed it for a system call that no worker makes (SIGSYS)".to_owned()
    } else {
        status.to_string()
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
    apart("spawn", move || {
        let _entered = runtime.enter();
        set_no_new_privs(true)?;
        set_capabilities(None, CapabilitySets { inheritable: CapabilitySet::empty(), ..capabilities(None)? })?;
        command.spawn()
    })
}

/// Does something in a thread of its own, which may give up its rights.
fn apart<T: Send + 'static>(name: &str, act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(act)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other(format!("the thread `{name}` panicked"))))
}
