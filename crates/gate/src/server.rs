//! The gate's side of its control socket.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use portgate_core::control::{Request, Response};
use portgate_core::limits::CONTROL_CONNECTIONS;
use portgate_relay::Backoff;
use rustix::process::{Resource, getrlimit};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::conversation::Conversations;

/// The mode of a control socket that only its owner may use.
const PRIVATE: u32 = 0o600;

/// The mode of a control socket's directory, where it is not there yet: the socket's own mode decides who may use it.
const DIRECTORY: u32 = 0o755;

/// How soon it is said again that no connection can be accepted.
const TOLD_AGAIN: Duration = Duration::from_mins(1);

/// The bits of a file's mode that are permissions.
const PERMISSIONS: u32 = 0o777;

/// A request, and where the answer goes.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Response>,
}

/// Listens on a socket. A socket that a dead gate left behind is replaced.
///
/// Only the socket's owner may use it, unless there is a `model`, another socket: then it gets that one's group and mode.
pub(crate) fn listen(path: &Path, model: Option<&Path>) -> io::Result<UnixListener> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(DIRECTORY).create(directory)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
    if let Some(model) = model {
        let model = std::fs::metadata(model)?;
        // Who may use Docker may control the gate. Without the right to do this, the CLI goes through `docker exec`.
        let shared = std::os::unix::fs::chown(path, None, Some(model.gid()))
            .and_then(|()| std::fs::set_permissions(path, Permissions::from_mode(model.mode() & PERMISSIONS)));
        if let Err(error) = shared {
            tracing::warn!(%error, "the control socket is for root alone");
        }
    }
    Ok(listener)
}

/// Removes a socket, and its directory if that is of no use to others.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
    if let Some(directory) = path.parent() {
        let _ = std::fs::remove_dir(directory);
    }
}

/// Answers all who connect, until nobody takes the calls any more; then ends with the last conversation.
///
/// There are [`CONTROL_CONNECTIONS`] conversations at most, and fewer where there are few descriptors: a further one takes
/// the place of that which was silent for longest. So nobody who holds connections keeps others from being heard, or the
/// gate from having descriptors for its own work.
pub(crate) async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let mut entrance = Entrance { listener, backoff: Backoff::default(), told: None };
    let mut conversations = Conversations::new(most());
    loop {
        tokio::select! {
            () = calls.closed() => break,
            stream = entrance.accept(), if !conversations.are_too_many() => conversations.begin(stream, &calls),
            () = conversations.ended() => {}
        }
    }
    conversations.finish().await;
}

/// How many conversations there may be: a quarter of all descriptors at most.
fn most() -> usize {
    let descriptors =
        getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
    CONTROL_CONNECTIONS.most.min(descriptors / 4).max(1)
}

/// Where clients come from.
struct Entrance {
    listener: UnixListener,
    backoff: Backoff,
    /// When it was last said that none can be accepted.
    told: Option<Instant>,
}

impl Entrance {
    /// Accepts the next connection, whatever it takes. Cancel-safe.
    async fn accept(&mut self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.backoff.succeeded();
                    return stream;
                }
                Err(error) => {
                    if self.told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN) {
                        tracing::warn!(%error, "cannot accept on the control socket for now");
                        self.told = Some(Instant::now());
                    }
                    tokio::time::sleep(self.backoff.failed()).await;
                }
            }
        }
    }
}
