//! A session with a gate's control, through `docker exec`: JSON lines on its standard input and output.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as ClientError;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use portgate_core::limits;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::StreamReader;

use crate::call::{self, CHANGE, Call, QUESTION, is_conflict};
use crate::engine::Engine;
use crate::image::EXECUTABLE;

/// Why there is no session with a gate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The gate does not run.
    #[error("{container} does not run")]
    NotRunning {
        /// The gate's name.
        container: String,
        /// The engine's answer.
        #[source]
        source: call::Error,
    },
    /// The gate's side of the session ended before it answered.
    #[error("{container} does not answer{}: {complaint}", status.map(|status| format!(" (exit status {status})")).unwrap_or_default())]
    Ended {
        /// The gate's name.
        container: String,
        /// The exit status of its side, if it is known.
        status: Option<i64>,
        /// What it wrote to standard error.
        complaint: String,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning { .. } => Some("start it with `portgate start`".to_owned()),
            Self::Ended { container, .. } => Some(format!("see its log: `docker logs {container}`")),
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// Opens a session with a gate that runs. It ends when it is dropped.
    pub async fn control(&self, container: &str) -> Result<Session, Error> {
        let config = ExecConfig {
            cmd: Some([EXECUTABLE, "gate", "control"].map(str::to_owned).to_vec()),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let call = Call::new("open a session with", container, CHANGE);
        let exec = match call.clone().make(self.docker.create_exec(container, config)).await {
            Ok(exec) => exec.id,
            Err(source) if is_conflict(&source) => {
                return Err(Error::NotRunning { container: container.to_owned(), source });
            }
            Err(error) => return Err(error.into()),
        };
        let start = self.docker.start_exec(&exec, None::<StartExecOptions>);
        let StartExecResults::Attached { output, input } = call.clone().make(start).await? else {
            return Err(call.failure(ClientError::from(io::Error::from(io::ErrorKind::NotConnected))).into());
        };
        let complaint = Complaint::default();
        let stdout: Output = Box::pin(demultiplex(output, complaint.clone()));
        let docker = self.docker.clone();
        let container = container.to_owned();
        Ok(Session { docker, container, exec, stdin: input, stdout: StreamReader::new(stdout), complaint })
    }
}

type Output = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A session with a gate's control: what is written goes to its standard input, what is read is its standard output.
pub struct Session {
    docker: Docker,
    container: String,
    exec: String,
    stdin: Pin<Box<dyn AsyncWrite + Send>>,
    stdout: StreamReader<Output, Bytes>,
    complaint: Complaint,
}

impl Session {
    /// Why the session ended, after a read found its end or a write failed.
    pub async fn failure(self) -> Error {
        let status = Call::new("inspect the session with", &self.container, QUESTION);
        let status = status.make(self.docker.inspect_exec(&self.exec)).await.ok().and_then(|exec| exec.exit_code);
        Error::Ended { container: self.container, status, complaint: self.complaint.text() }
    }
}

impl AsyncRead for Session {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(cx, buffer)
    }
}

impl AsyncBufRead for Session {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().stdout).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.stdout).consume(amount);
    }
}

impl AsyncWrite for Session {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stdin.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stdin.as_mut().poll_shutdown(cx)
    }
}

/// What the other side wrote to standard error, at most [`limits::COMPLAINT`].
#[derive(Clone, Default)]
pub(super) struct Complaint(Arc<Mutex<Vec<u8>>>);

impl Complaint {
    pub(super) fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = limits::COMPLAINT.most.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim().to_owned()
    }
}

/// Standard output alone. The rest is kept for the error: standard error, and what an engine says that could not start
/// the program, which it writes without saying where.
fn demultiplex(
    output: impl Stream<Item = Result<LogOutput, ClientError>>,
    complaint: Complaint,
) -> impl Stream<Item = io::Result<Bytes>> {
    output.filter_map(move |output| {
        let bytes = match output {
            Ok(LogOutput::StdOut { message }) => Some(Ok(message)),
            Ok(other) => {
                complaint.add(other.as_ref());
                None
            }
            Err(error) => Some(Err(io::Error::other(error))),
        };
        std::future::ready(bytes)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{TryStreamExt, stream};

    #[tokio::test]
    async fn standard_error_is_kept_apart() {
        let output = stream::iter([
            Ok(LogOutput::StdOut { message: Bytes::from_static(b"{}\n") }),
            Ok(LogOutput::StdErr { message: Bytes::from_static(b"no socket\n") }),
            Ok(LogOutput::StdOut { message: Bytes::from_static(b"[]\n") }),
        ]);
        let complaint = Complaint::default();
        let stdout: Vec<Bytes> = demultiplex(output, complaint.clone()).try_collect().await.unwrap();
        assert_eq!(stdout.concat(), b"{}\n[]\n");
        assert_eq!(complaint.text(), "no socket");
    }

    #[test]
    fn a_complaint_has_an_end() {
        let complaint = Complaint::default();
        for _ in 0..3 {
            complaint.add(&[b'x'; limits::COMPLAINT.most / 2 + 1]);
        }
        assert_eq!(complaint.text().len(), limits::COMPLAINT.most);
    }
}
