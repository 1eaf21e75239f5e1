//! A server, the pods behind it, and a forwarder that leads to them.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use portgate_core::port::Port;
use portgate_double::{Config, Counters, Double, Kubeconfig};
use portgate_kube::access::Access;
use portgate_kube::api::Api;
use portgate_kube::forward::{ForwardError, Forwarder, PodName, PodStream, Receiver};
use portgate_kube::settings::Settings;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::pod::{Server, server};

/// How long anything may take before a test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_mins(1);

/// The outcome of what should happen soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// The recorded pod.
pub(crate) fn pod() -> PodName {
    named("echo-6d4f68dbd7-k8vdx")
}

/// A pod beside it.
pub(crate) fn named(name: &str) -> PodName {
    PodName { namespace: "backend".to_owned(), name: name.to_owned() }
}

pub(crate) struct Lab {
    pub(crate) double: Double,
    pub(crate) forwarder: Forwarder,
    servers: Vec<Server>,
    home: TempDir,
}

impl Lab {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let double = Double::start(config).await.unwrap();
        let home = tempfile::tempdir().unwrap();
        write_kubeconfig(&double, &home).await;
        let settings = Settings { kubeconfigs: vec![home.path().join("config")], ..Settings::default() };
        let api = Api::connect(&Access::of_user(&settings).unwrap()).await.unwrap();
        Self { double, forwarder: Forwarder::new(&api), servers: Vec::new(), home }
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.home.path().join("config")
    }

    /// Writes the kubeconfig again, with what is right by now.
    pub(crate) async fn write_kubeconfig(&self) {
        write_kubeconfig(&self.double, &self.home).await;
    }

    /// Lets a port of the recorded pod do this to each connection.
    pub(crate) async fn serve<F>(&mut self, port: u16, serve: impl Fn(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.serve_in(&pod(), port, serve).await;
    }

    pub(crate) async fn serve_in<F>(
        &mut self,
        pod: &PodName,
        port: u16,
        serve: impl Fn(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let server = server(serve).await;
        self.double.serve(&pod.namespace, &pod.name, port, server.address).await.unwrap();
        self.servers.push(server);
    }

    pub(crate) async fn try_open(&self, port: u16) -> Result<PodStream, ForwardError> {
        soon(self.forwarder.open(&pod(), Port::new(port).unwrap())).await
    }

    pub(crate) async fn open(&self, port: u16) -> PodStream {
        self.try_open(port).await.unwrap()
    }

    /// Sends and receives through the echo at port 7, and ends in both directions.
    pub(crate) async fn ping(&self) {
        let stream = self.open(7).await;
        assert_eq!(say(stream, Bytes::from_static(b"ping")).await, b"ping");
    }

    pub(crate) async fn counters(&self) -> Counters {
        self.double.counters().await.unwrap()
    }

    /// Waits until the server's counters are like this.
    pub(crate) async fn until(&self, condition: impl Fn(&Counters) -> bool) {
        soon(async {
            while !condition(&self.counters().await) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn write_kubeconfig(double: &Double, home: &TempDir) {
    let kubeconfig = double.kubeconfig(&Kubeconfig::default()).await.unwrap();
    std::fs::write(home.path().join("config"), kubeconfig).unwrap();
}

/// All that comes until the end.
pub(crate) async fn all(receiver: &mut Receiver) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(more) = soon(receiver.next()).await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    bytes
}

/// Sends all, finishes, and gives back all that comes meanwhile and after.
pub(crate) async fn say(stream: PodStream, bytes: Bytes) -> Vec<u8> {
    let PodStream { mut sender, mut receiver, verdict } = stream;
    let said = async {
        soon(sender.send(bytes)).await.unwrap();
        sender.finish().await.unwrap();
    };
    let ((), answer) = tokio::join!(said, all(&mut receiver));
    assert_eq!(soon(verdict.wait()).await, None);
    answer
}
