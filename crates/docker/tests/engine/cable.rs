//! A socket that leads to the engine's, and that can be cut.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portgate_docker::engine::Engine;
use portgate_docker::settings::Settings;
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

pub(crate) struct Cable {
    directory: TempDir,
    engine: PathBuf,
    /// The listener's task.
    listener: Mutex<JoinSet<()>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Cable {
    pub(crate) async fn to(engine: &Path) -> Self {
        let cable = Self {
            directory: tempfile::tempdir().unwrap(),
            engine: engine.to_owned(),
            listener: Mutex::default(),
            connections: Arc::default(),
        };
        cable.mend().await;
        cable
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("docker.sock")
    }

    pub(crate) async fn engine(&self) -> Engine {
        let host = Some(format!("unix://{}", self.path().display()));
        Engine::connect(&Settings { host, ..Settings::default() }).await.unwrap()
    }

    /// Ends what is connected, and lets new connections pass.
    pub(crate) async fn hang_up(&self) {
        self.connections.lock().await.shutdown().await;
    }

    /// Ends what is connected, and lets no new connection pass.
    pub(crate) async fn cut(&self) {
        self.listener.lock().await.shutdown().await;
        std::fs::remove_file(self.path()).unwrap();
        self.hang_up().await;
    }

    /// Lets connections pass.
    pub(crate) async fn mend(&self) {
        let listener = UnixListener::bind(self.path()).unwrap();
        let (engine, connections) = (self.engine.clone(), Arc::clone(&self.connections));
        self.listener.lock().await.spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let engine = engine.clone();
                connections.lock().await.spawn(async move {
                    let mut engine = UnixStream::connect(engine).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut engine).await;
                });
            }
        });
    }
}
