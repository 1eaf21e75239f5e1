//! A proxy of the engine's socket, by which an engine can be away for one gate alone.

use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fault::Absence;

/// A proxy. Its socket stays the same file: a gate's container has it mounted.
pub(crate) struct Proxy {
    path: PathBuf,
    absence: watch::Sender<Option<Absence>>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Listens at `path` for the engine at `engine`, with the same owner and rights.
    pub(crate) fn start(engine: &Path, path: PathBuf) -> anyhow::Result<Self> {
        let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
        let metadata = std::fs::metadata(engine).with_context(|| format!("cannot examine {}", engine.display()))?;
        std::os::unix::fs::chown(&path, Some(metadata.uid()), Some(metadata.gid()))
            .and_then(|()| std::fs::set_permissions(&path, PermissionsExt::from_mode(metadata.mode() & 0o777)))
            .with_context(|| format!("cannot give {} the rights of {}", path.display(), engine.display()))?;
        let (absence, seen) = watch::channel(None);
        let mut task = JoinSet::new();
        task.spawn(serve(listener, engine.to_owned(), seen));
        Ok(Self { path, absence, _task: task })
    }

    /// What `DOCKER_HOST` is for it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path.display())
    }

    /// From now on the engine is away.
    pub(crate) fn leave(&self, absence: Absence) {
        self.absence.send_replace(Some(absence));
    }

    /// From now on the engine is there.
    pub(crate) fn come_back(&self) {
        self.absence.send_replace(None);
    }
}

async fn serve(listener: UnixListener, engine: PathBuf, absence: watch::Receiver<Option<Absence>>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.spawn(pass(client, engine.clone(), absence.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Passes on what both ends say, until both have ended or the connection is to break.
async fn pass(mut client: UnixStream, engine: PathBuf, absence: watch::Receiver<Option<Absence>>) -> io::Result<()> {
    let mut breaks = absence.clone();
    let passed = async {
        let mut engine = UnixStream::connect(engine).await?;
        let (mut from_client, mut to_client) = client.split();
        let (mut from_engine, mut to_engine) = engine.split();
        let there = copy(&mut from_client, &mut to_engine, absence.clone());
        let back = copy(&mut from_engine, &mut to_client, absence.clone());
        tokio::try_join!(there, back).map(drop)
    };
    tokio::select! {
        _ = breaks.wait_for(|absence| *absence == Some(Absence::Broken)) => Ok(()),
        outcome = passed => outcome,
    }
}

async fn copy(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut absence: watch::Receiver<Option<Absence>>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = from.read(&mut buffer).await?;
        absence.wait_for(Option::is_none).await.map_err(io::Error::other)?;
        if length == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// An engine that says all back, and a client of its proxy.
    async fn connected(directory: &Path) -> (Proxy, UnixStream, JoinSet<()>) {
        let engine = UnixListener::bind(directory.join("engine")).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let (mut stream, _) = engine.accept().await.unwrap();
            let (mut from, mut to) = stream.split();
            let _ = tokio::io::copy(&mut from, &mut to).await;
        });
        let proxy = Proxy::start(&directory.join("engine"), directory.join("proxy")).unwrap();
        let client = UnixStream::connect(directory.join("proxy")).await.unwrap();
        (proxy, client, tasks)
    }

    #[tokio::test]
    async fn a_stalled_engine_answers_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let (proxy, mut client, _engine) = connected(directory.path()).await;
        proxy.leave(Absence::Stalled);
        client.write_all(b"word").await.unwrap();
        let mut answer = [0; 4];
        assert!(timeout(Duration::from_millis(50), client.read_exact(&mut answer)).await.is_err());
        proxy.come_back();
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"word");
    }

    #[tokio::test]
    async fn a_broken_engine_ends_old_and_new_connections() {
        let directory = tempfile::tempdir().unwrap();
        let (proxy, mut client, _engine) = connected(directory.path()).await;
        client.write_all(b"word").await.unwrap();
        client.read_exact(&mut [0; 4]).await.unwrap();
        proxy.leave(Absence::Broken);
        assert_eq!(client.read(&mut [0; 4]).await.unwrap(), 0);
        let mut another = UnixStream::connect(directory.path().join("proxy")).await.unwrap();
        assert_eq!(another.read(&mut [0; 4]).await.unwrap_or(0), 0);
    }
}
