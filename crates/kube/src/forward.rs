//! Streams to ports of pods through an API server: `kubectl port-forward`, but so that no connection harms another.
//!
//! A [`Forwarder`] has sessions to pods. A session is a connection to the API server that carries streams, by SPDY.
//! That has no flow control in Kubernetes: a stream that is not read makes its session wait. So a session carries one
//! stream at a time, and a new stream goes to an idle session or to a new one. Only where a pod has 400 of them are
//! they shared, and those that stand still are shared last. Idle sessions are kept for a minute, 8 for each pod.
//! One in which a stream was reset is not used again.
//!
//! How a session is carried is tried out once ([`Transport`]), and what worked is tried first from then on.

mod channels;
mod connect;
mod error;
mod far_end;
mod lease;
mod link;
mod pool;
mod session;
mod stream;
mod transport;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use portgate_core::port::Port;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

pub use error::{ForwardError, Loss, Refusal, StreamError};
pub use stream::{PodStream, Receiver, Sender, Verdict};
pub use transport::Transport;

use crate::api::Api;
use connect::Connector;
use lease::{New, Sessions};
use link::Command;
use session::Session;

/// How many sessions in a row may be lost just as a stream is to be opened in them.
const ATTEMPTS: usize = 3;

/// Which pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: String,
    /// Its own name.
    pub name: String,
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.name, self.namespace)
    }
}

/// Opens streams to pods. Clones share their sessions; with the last of them all streams end.
#[derive(Clone)]
pub struct Forwarder(Arc<Inner>);

struct Inner {
    connector: Arc<Connector>,
    sessions: Sessions,
    tasks: TaskTracker,
    stop: CancellationToken,
    _stop_at_the_end: DropGuard,
}

impl Forwarder {
    /// A forwarder by way of this API server. The server is not asked yet.
    pub fn new(api: &Api) -> Self {
        let stop = CancellationToken::new();
        Self(Arc::new(Inner {
            connector: Arc::new(Connector::new(api.clone())),
            sessions: Sessions::default(),
            tasks: TaskTracker::new(),
            _stop_at_the_end: stop.clone().drop_guard(),
            stop,
        }))
    }

    /// Opens a stream to a port of a pod. It does not wait for an answer of the pod, which may refuse the connection
    /// still: the stream's [`Verdict`] tells. Data may be sent at once, and the pod may be the first to send.
    ///
    /// A connection to the API server takes 5 s at most, and its answer 10 s. Cancel-safe: of a call that is dropped
    /// nothing remains but an idle session.
    pub async fn open(&self, pod: &PodName, port: Port) -> Result<PodStream, ForwardError> {
        let channels_first = self.0.connector.works() == Some(Transport::Channels);
        let mut refused: Option<(String, Vec<Refusal>)> = None;
        for by_channels in [channels_first, !channels_first] {
            let opened = if by_channels { self.by_channels(pod, port).await } else { self.in_session(pod, port).await };
            match opened {
                Err(ForwardError::Refused { server, mut refusals }) => {
                    refusals.splice(0..0, refused.into_iter().flat_map(|(_, refusals)| refusals));
                    refused = Some((server, refusals));
                }
                opened => return opened,
            }
        }
        let (server, refusals) = refused.unwrap_or_default();
        Err(self.0.connector.explain(pod, ForwardError::Refused { server, refusals }).await)
    }

    async fn in_session(&self, pod: &PodName, port: Port) -> Result<PodStream, ForwardError> {
        for _ in 0..ATTEMPTS {
            let (lease, new) = self.0.sessions.lease(pod);
            if let Some(new) = new {
                self.0.spawn(session(Arc::clone(&self.0.connector), new));
            }
            let link = lease.link();
            let (answer, opened) = oneshot::channel();
            link.command(Command::Open { port, lease, answer });
            // A session that is just ending drops the question.
            if let Ok(opened) = opened.await {
                return opened;
            }
        }
        Err(ForwardError::Lost)
    }

    async fn by_channels(&self, pod: &PodName, port: Port) -> Result<PodStream, ForwardError> {
        let (stream, task) = channels::stream(self.0.connector.channels(pod, port).await?);
        self.0.spawn(task);
        Ok(stream)
    }

    /// Lets the sessions to all other pods drain: they get no new streams, and are closed when their last stream has
    /// ended.
    pub fn retain(&self, pods: &BTreeSet<PodName>) {
        self.0.sessions.retain(pods);
    }
}

impl Inner {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(task).await });
    }
}

/// Connects a session and carries it, or tells all that wait for it why not.
async fn session(connector: Arc<Connector>, new: New) {
    let New { member, link, mut commands } = new;
    match connector.session(member.pod()).await {
        Ok(wire) => Session::new(wire, link, member).run(commands).await,
        Err(error) => {
            member.leave();
            commands.close();
            while let Some(command) = commands.recv().await {
                if let Command::Open { answer, .. } = command {
                    // Whoever does not wait any more need not know.
                    let _ = answer.send(Err(error.clone()));
                }
            }
        }
    }
}
