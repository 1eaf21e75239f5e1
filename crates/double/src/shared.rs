//! What all connections of a double share.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::command::Command;
use crate::config::{Config, Objects};
use crate::connections::{Connections, PodName};
use crate::counters::{Counters, Tally};
use crate::fault::{Fault, Faults};
use crate::kubeconfig::{Contents, Kubeconfig};
use crate::pods::Pods;
use crate::record;
use crate::resource::Resource;
use crate::server::{Call, Order};
use crate::store::{Store, StoreError};
use crate::tls::Identity;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    /// Where the API is served.
    pub(crate) address: SocketAddr,
    pub(crate) identity: Identity,
    pub(crate) store: Arc<Store>,
    pub(crate) faults: Faults,
    pub(crate) tally: Tally,
    pub(crate) connections: Arc<Connections>,
    pub(crate) pods: Pods,
    server: mpsc::Sender<Call>,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the double has stopped")]
    Stopped,
    #[error("cannot listen again: {0}")]
    Listen(std::io::Error),
    #[error("the answer is no JSON: {0}")]
    Encode(#[from] serde_json::Error),
}

impl Shared {
    pub(crate) fn new(config: Config, address: SocketAddr, identity: Identity, server: mpsc::Sender<Call>) -> Self {
        let store = match config.objects {
            Objects::Recorded => record::store(),
            Objects::None => Store::new(record::REVISION),
        };
        Self {
            address,
            identity,
            store: Arc::new(store),
            faults: Faults::new(&config),
            tally: Tally::default(),
            connections: Arc::default(),
            pods: Pods::default(),
            server,
            config,
        }
    }

    /// Carries out a command; its answer is JSON, or the kubeconfig as it is.
    pub(crate) async fn obey(&self, command: Command) -> Result<String, Refusal> {
        Ok(match command {
            Command::Apply(object) => self.store.apply(object)?.to_string(),
            Command::Delete(object) => {
                let namespace = object.namespace.as_deref();
                self.store.delete(object.resource, namespace, &object.name).to_string()
            }
            Command::Serve(served) => {
                let pod = PodName { namespace: served.namespace, name: served.pod };
                self.pods.serve(pod, served.port, served.address);
                "null".to_owned()
            }
            Command::Fault(fault) => {
                self.go_wrong(fault).await?;
                "null".to_owned()
            }
            Command::Kubeconfig(wanted) => self.kubeconfig(&wanted),
            Command::Counters => serde_json::to_string(&self.counters())?,
        })
    }

    async fn go_wrong(&self, fault: Fault) -> Result<(), Refusal> {
        match fault {
            Fault::KillConnections => self.connections.cut(|_| true),
            Fault::KillPortForwards => self.connections.cut(|pod| pod.is_some()),
            Fault::KillPod { namespace, pod } => self.kill_pod(&PodName { namespace, name: pod }),
            Fault::RefuseConnections => self.order(Order::Refuse).await?,
            Fault::AcceptConnections => self.order(Order::Accept).await?,
            Fault::Restart { after } => self.order(Order::Restart(after)).await?,
            Fault::Delay { by } => self.faults.set_delay(by),
            Fault::Answer { requests, failure, times } => self.faults.plan(requests, failure, times),
            Fault::Hostile { requests, how } => self.faults.be_hostile(requests, how),
            Fault::Forbid { requests } => self.faults.forbid(requests),
            Fault::Token { token } => self.faults.set_token(token),
            Fault::Transports(transports) => self.faults.set_transports(transports),
            Fault::Compact => self.store.compact(),
            Fault::Mend => self.faults.mend(),
        }
        Ok(())
    }

    fn kill_pod(&self, pod: &PodName) {
        self.store.delete(Resource::Pods, Some(&pod.namespace), &pod.name);
        self.pods.empty(pod);
        self.connections.cut(|carried| carried == Some(pod));
    }

    /// Has the listener changed, and waits until it is.
    async fn order(&self, order: Order) -> Result<(), Refusal> {
        let (done, changed) = oneshot::channel();
        self.server.send(Call { order, done }).await.map_err(|_| Refusal::Stopped)?;
        changed.await.map_err(|_| Refusal::Stopped)?.map_err(Refusal::Listen)
    }

    fn counters(&self) -> Counters {
        let (open, sessions) = self.connections.count();
        self.tally.counters(open, sessions)
    }

    fn kubeconfig(&self, wanted: &Kubeconfig) -> String {
        let authentication = &self.config.authentication;
        let server = wanted.server.clone().unwrap_or_else(|| self.url());
        let token = self.faults.token();
        let contents = Contents {
            identity: &self.identity,
            server: &server,
            context: wanted.context.as_ref().unwrap_or(&self.config.context),
            certificate: authentication.certificate,
            token: token.as_deref(),
            token_file: wanted.token_file.as_ref().map(|path| path.display().to_string()),
        };
        contents.text()
    }

    fn url(&self) -> String {
        let port = self.address.port();
        if self.address.ip().is_unspecified() {
            format!("https://localhost:{port}")
        } else {
            format!("https://{}", self.address)
        }
    }
}
