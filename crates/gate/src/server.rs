//! The gate's side of its control socket.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use portgate_core::control::{MAX_LINE, Refusal, Request, Response};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::codec::{Framed, LinesCodec};

/// A request, and where the answer goes.
pub(crate) struct Call {
    pub(crate) request: Request,
    pub(crate) answer: oneshot::Sender<Response>,
}

/// Listens on a socket that only its owner may use. A socket that a dead gate left behind is replaced.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
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
