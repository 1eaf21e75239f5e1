//! The worker's side.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use portgate_core::limits::{WORKER_COUNTERS, WORKER_ORDER, WORKER_TEXT};
use portgate_core::mapping::Local;
use portgate_core::port::Protocol;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::{Bound, Demand, Relay, Round};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getgid, getrlimit, getuid, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities, no_new_privs};
use tokio::runtime::Builder;

use super::channel::{Accepts, Channel, DESCRIPTORS, Received};
use super::message::{Order, Report, Setup};
use super::sandbox::{Domain, SandboxError, enter_domain, filter_calls};
use super::wishes::Wishes;
use super::{Identity, Refused};

/// A worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Standard input is not the supervisor's socket, or what it says is not understood.
    #[error("cannot hear the supervisor on standard input")]
    Channel(#[from] io::Error),
    /// The threads cannot be started.
    #[error("cannot start the worker's threads")]
    Runtime(#[source] io::Error),
    /// The worker could not be restricted.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The supervisor did not say how to work.
    #[error("the supervisor gave no settings")]
    NoSettings,
    /// The worker's rights cannot be read, or given up.
    #[error("cannot give up rights")]
    Rights(#[source] io::Error),
    /// The worker has more rights than the supervisor wanted it to have.
    #[error("the worker has rights: {identity:?}, {capabilities:?}, may get new ones: {may_get_new}")]
    Privileged {
        /// Who it is.
        identity: Identity,
        /// What it may do.
        capabilities: CapabilitySet,
        /// Whether it could execute its way to more.
        may_get_new: bool,
    },
}

/// Relays what the supervisor says, until it says to end, or ends itself. Its socket is standard input.
///
/// Must be called while the process has no other thread: those that are started here are to have no more rights than
/// this one. When it has the threads that it needs, it gives up whatever a relay at work does not use.
pub fn work() -> Result<(), WorkerError> {
    let domain = enter_domain()?;
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(WorkerError::Runtime)?;
    runtime.block_on(serve(domain))
}

async fn serve(domain: Domain) -> Result<(), WorkerError> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut channel = Channel::<Report, Order>::new(socket, Accepts { bytes: WORKER_ORDER, descriptors: DESCRIPTORS })?;
    let Some(Received { message, .. }) = channel.next().await? else { return Ok(()) };
    let Order::Setup(Setup { identity, limits, freshness }) = message else { return Err(WorkerError::NoSettings) };
    if let Some(identity) = identity {
        check(identity)?;
    }
    // Another process of the same user is not to take its sockets.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| WorkerError::Rights(error.into()))?;
    raise_descriptor_limit();

    let demand = Arc::new(freshness.map_or_else(Demand::default, Demand::new));
    let mut relay = Relay::new(limits, demand.clone());
    relay.start().map_err(WorkerError::Runtime)?;
    let filter = filter_calls()?;
    tracing::info!(landlock = %domain, seccomp = %filter, "the worker is restricted");

    let mut work = Work { channel, relay, open: BTreeSet::new(), wishes: Wishes::of(demand) };
    match work.until_end().await? {
        End::Drain => tokio::select! {
            () = work.relay.drain() => {}
            () = gone(work.channel) => {}
        },
        End::Cut => {}
    }
    Ok(())
}

fn check(wanted: Identity) -> Result<(), WorkerError> {
    let rights = |error: rustix::io::Errno| WorkerError::Rights(error.into());
    let held = capabilities(None).map_err(rights)?;
    let capabilities = held.effective | held.permitted | held.inheritable;
    let identity = Identity { uid: getuid().as_raw(), gid: getgid().as_raw() };
    let may_get_new = !no_new_privs().map_err(rights)?;
    if identity != wanted || !capabilities.is_empty() || may_get_new {
        return Err(WorkerError::Privileged { identity, capabilities, may_get_new });
    }
    Ok(())
}

/// Each connection takes two descriptors. Engines start containers with a low soft limit and a high hard one.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

struct Work {
    channel: Channel<Report, Order>,
    relay: Relay,
    open: BTreeSet<Local>,
    wishes: Wishes,
}

/// How the work ends.
enum End {
    /// When the open connections have.
    Drain,
    /// At once: the supervisor is gone.
    Cut,
}

impl Work {
    async fn until_end(&mut self) -> io::Result<End> {
        loop {
            tokio::select! {
                received = self.channel.next() => match received? {
                    Some(Received { message: Order::Drain, .. }) => return Ok(End::Drain),
                    Some(received) => self.obey(received).await?,
                    None => return Ok(End::Cut),
                },
                wish = self.wishes.next() => self.channel.send(&wish.into())?,
            }
        }
    }

    async fn obey(&mut self, Received { message, descriptors }: Received<Order>) -> io::Result<()> {
        match message {
            Order::Open { local, resolution, sockets } => self.open(local, resolution, sockets, descriptors),
            Order::Route { local, resolution } => {
                self.relay.route(&local, resolution);
                Ok(())
            }
            Order::Close { locals } => {
                for local in &locals {
                    self.open.remove(local);
                    self.relay.close(local).await;
                }
                Ok(())
            }
            Order::Count => self.report_counters(),
            Order::Refreshed { round } => {
                self.wishes.fulfilled(Round(round));
                Ok(())
            }
            Order::Mark { number } => self.channel.send(&Report::Reached { mark: number }),
            Order::Setup(_) | Order::Drain => Ok(()),
        }
    }

    fn open(
        &mut self,
        local: Local,
        resolution: Resolution,
        sockets: usize,
        descriptors: Vec<OwnedFd>,
    ) -> io::Result<()> {
        let outcome = if descriptors.len() == sockets {
            let sockets = descriptors.into_iter().map(|descriptor| bound(descriptor, local.protocol)).collect();
            self.relay.open(local.clone(), sockets, resolution)
        } else {
            // The kernel drops those that a process has no room for.
            Err(rustix::io::Errno::MFILE.into())
        };
        match outcome {
            Ok(()) => {
                self.open.insert(local);
                Ok(())
            }
            Err(error) => {
                let message = WORKER_TEXT.cut(error.to_string());
                self.channel.send(&Report::Refused(Refused { local, message }))
            }
        }
    }

    fn report_counters(&mut self) -> io::Result<()> {
        let counted = |local: &Local| Some((local.clone(), bounded(self.relay.counters(local)?)));
        let counters: Vec<_> = self.open.iter().filter_map(counted).collect();
        for part in counters.chunks(WORKER_COUNTERS.most) {
            self.channel.send(&Report::Counters(part.to_vec()))?;
        }
        Ok(())
    }
}

fn bounded(mut counters: Counters) -> Counters {
    if let Some(error) = &mut counters.last_error {
        error.message = WORKER_TEXT.cut(std::mem::take(&mut error.message));
    }
    counters
}

/// Waits until the supervisor is gone.
async fn gone(mut channel: Channel<Report, Order>) {
    while let Ok(Some(_)) = channel.next().await {}
}

fn bound(descriptor: OwnedFd, protocol: Protocol) -> Bound {
    match protocol {
        Protocol::Tcp => Bound::Tcp(descriptor.into()),
        Protocol::Udp => Bound::Udp(descriptor.into()),
    }
}
