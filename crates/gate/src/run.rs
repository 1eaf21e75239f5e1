//! A gate's life: start, loop, end.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use portgate_core::cluster::ClusterId;
use portgate_core::control::Refusal;
use portgate_core::mapping::Local;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::door::DoorError;
use crate::gate::Gate;
use crate::server;
use crate::settings::{Place, Settings};
use crate::sockets::ListenError;
use crate::store::StoreError;

/// How many requests may wait for the loop.
const CALLS: usize = 16;

/// How long a gate that ends waits for those who ask it something to read the answer and hang up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A gate could not start.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The state file cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no state file, and so nothing to do.
    #[error("the state file {0} does not exist")]
    NoState(PathBuf),
    /// The process that relays cannot be started.
    #[error("cannot start the worker")]
    Worker(#[source] io::Error),
    /// The addresses that no mapping may lead to cannot be found out.
    #[error("cannot read the addresses of this machine")]
    Addresses(#[source] io::Error),
    /// The Kubernetes API server of a forward cannot be found.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The control socket cannot be listened on.
    #[error("cannot listen on the control socket {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Signals cannot be received.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Runs a gate until SIGTERM, SIGINT or [`Request::Stop`](portgate_core::control::Request::Stop), then drains it. In
/// host placement it ends as well when its cluster is deleted; what is said then is [`Ending::ClusterDeleted`].
///
/// The control socket appears once every wanted mapping listens.
pub async fn run(settings: Settings) -> Result<Ending, GateError> {
    raise_descriptor_limit();
    let mut signals = Signals::new().map_err(GateError::Signals)?;
    let mut gate = Gate::open(&settings).await?;
    let socket_error = |source| GateError::Socket { path: settings.socket.clone(), source };
    let model = match &settings.place {
        Place::Host(host) => Some(host.engine.as_path()),
        Place::Process(_) | Place::Published(_) => None,
    };
    let listener = server::listen(&settings.socket, model).map_err(socket_error)?;

    let (calls, mut called) = mpsc::channel(CALLS);
    let mut server = JoinSet::new();
    server.spawn(server::serve(listener, calls));
    tracing::info!(mappings = gate.len(), "the gate is open");

    let ending = loop {
        tokio::select! {
            Some(call) = called.recv() => {
                if gate.answer(call).await.is_break() {
                    break Ending::Asked;
                }
            }
            event = gate.next() => {
                if gate.take(event).is_break() {
                    break Ending::ClusterDeleted(gate.cluster().clone());
                }
            }
            () = signals.next() => break Ending::Asked,
        }
    };
    tracing::info!(?ending, "the gate closes");
    if ending != Ending::Asked {
        gate.abandon();
    }
    // Nobody is to find a socket that no longer answers; one that is gone already is just as good.
    server::remove(&settings.socket);
    // The server ends once nobody takes its calls, and every answer is written; unless the other side does not read.
    drop(called);
    let last_words = tokio::time::timeout(LAST_WORDS, server.join_next());
    tokio::join!(gate.drain(), async { last_words.await.map(drop).unwrap_or_default() });
    Ok(ending)
}

/// Why a gate has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By a signal or a request.
    Asked,
    /// Its cluster has no container any more.
    ClusterDeleted(ClusterId),
}

/// Each connection takes two descriptors. Engines start containers with a low soft limit and a high hard one.
fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// The signals that end a gate.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl ListenError {
    /// What the CLI is told.
    pub(crate) fn refusal(&self, local: &Local) -> Refusal {
        Refusal::Bind { local: local.clone(), address: self.address, message: self.source.to_string() }
    }
}
