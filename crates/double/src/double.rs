//! A running double.

use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::control::Control;
use crate::remote;
use crate::server;
use crate::shared::Shared;
use crate::tls::{Identity, TlsError};

/// A running double. It ends when it is dropped. What it can be told, [`Control`] has.
pub struct Double {
    control: Control,
    address: SocketAddr,
    control_address: Option<SocketAddr>,
    stop: CancellationToken,
    server: JoinSet<()>,
    endpoint: JoinSet<()>,
}

/// Why a double did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There are no certificates.
    #[error("there are no certificates")]
    Tls(#[from] TlsError),
}

impl Double {
    /// Starts a double. It is reachable when this returns.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let failed = |address| move |source| StartError::Listen { address, source };
        let identity = Identity::new(&config)?;
        let listener = server::listen(config.listen).map_err(failed(config.listen))?;
        let address = listener.local_addr().map_err(failed(config.listen))?;
        let endpoint = match config.control {
            Some(address) => Some(TcpListener::bind(address).await.map_err(failed(address))?),
            None => None,
        };
        let (orders, calls) = mpsc::channel(1);
        let shared = Arc::new(Shared::new(config, address, identity, orders));
        let mut double = Self {
            control: Control::here(Arc::clone(&shared)),
            address,
            control_address: endpoint.as_ref().and_then(|endpoint| endpoint.local_addr().ok()),
            stop: CancellationToken::new(),
            server: JoinSet::new(),
            endpoint: JoinSet::new(),
        };
        double.server.spawn(server::serve(listener, Arc::clone(&shared), calls, double.stop.clone()));
        if let Some(endpoint) = endpoint {
            double.endpoint.spawn(remote::serve(endpoint, shared));
        }
        Ok(double)
    }

    /// Where the API is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the control endpoint is served, if it is.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control_address
    }

    /// Breaks all connections, and stops listening before this returns.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.server.join_next().await.is_some() {}
        self.endpoint.shutdown().await;
    }
}

impl Deref for Double {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}
