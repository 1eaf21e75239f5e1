//! The gate's side of its control socket.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use portgate_core::control::{MAX_LINE, Refusal, Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::codec::{Framed, LinesCodec};

/// The mode of a control socket that only its owner may use.
const PRIVATE: u32 = 0o600;

/// The mode of a control socket's directory, where it is not there yet: the socket's own mode decides who may use it.
const DIRECTORY: u32 = 0o755;

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
pub(crate) async fn serve(listener: UnixListener, calls: mpsc::Sender<Call>) {
    let mut conversations = JoinSet::new();
    loop {
        tokio::select! {
            () = calls.closed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    conversations.spawn(converse(stream, calls.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = conversations.join_next() => {}
        }
    }
    while conversations.join_next().await.is_some() {}
}

/// One request after the other, until the other side hangs up.
async fn converse(stream: UnixStream, calls: mpsc::Sender<Call>) {
    let mut lines = Framed::new(stream, LinesCodec::new_with_max_length(MAX_LINE));
    while let Some(Ok(line)) = lines.next().await {
        let response = match serde_json::from_str(&line) {
            Ok(request) => match ask(&calls, request).await {
                Some(response) => response,
                None => return,
            },
            Err(error) => Response::Refused(Refusal::Malformed { message: error.to_string() }),
        };
        let Ok(line) = serde_json::to_string(&response) else { return };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

/// The loop's answer; `None` once the gate ends.
async fn ask(calls: &mpsc::Sender<Call>, request: Request) -> Option<Response> {
    let (answer, response) = oneshot::channel();
    calls.send(Call { request, answer }).await.ok()?;
    response.await.ok()
}
