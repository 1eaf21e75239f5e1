//! The worker's side.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use portgate_core::mapping::Local;
use portgate_core::port::Protocol;
use portgate_core::status::Counters;
use portgate_core::table::Resolution;
use portgate_relay::{Bound, Demand, Relay};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getgid, getrlimit, getuid, set_dumpable_behavior, setrlimit,
};
use rustix::thread::{CapabilitySet, capabilities, no_new_privs};

use super::channel::{Channel, DESCRIPTORS, Received};
use super::message::{Order, Report, Setup};
use super::{Identity, Refused};

/// A worker cannot work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Standard input is not the supervisor's socket, or what it says is not understood.
    #[error("cannot hear the supervisor on standard input")]
    Channel(#[from] io::Error),
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
/// Must be called within a tokio runtime with I/O and time enabled.
pub async fn work() -> Result<(), WorkerError> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let mut channel = Channel::<Report, Order>::new(socket, DESCRIPTORS)?;
    let Some(Received { message, .. }) = channel.next().await? else { return Ok(()) };
    let Order::Setup(Setup { identity, limits }) = message else { return Err(WorkerError::NoSettings) };
    if let Some(identity) = identity {
        check(identity)?;
    }
    // Another process of the same user is not to take its sockets.
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| WorkerError::Rights(error.into()))?;
    raise_descriptor_limit();

    // The supervisor swaps the routes as soon as it learns of a change.
    let relay = Relay::new(limits, Arc::new(Demand::default()));
    let mut work = Work { channel, relay, open: BTreeSet::new() };
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
            match self.channel.next().await? {
                Some(Received { message: Order::Drain, .. }) => return Ok(End::Drain),
                Some(received) => self.obey(received).await?,
                None => return Ok(End::Cut),
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
            Order::Count => self.channel.send(&Report::Counters(self.counters())),
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
            Err(error) => self.channel.send(&Report::Refused(Refused { local, message: error.to_string() })),
        }
    }

    fn counters(&self) -> Vec<(Local, Counters)> {
        let counted = |local: &Local| Some((local.clone(), self.relay.counters(local)?));
        self.open.iter().filter_map(counted).collect()
    }
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
