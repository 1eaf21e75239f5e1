//! A client made from credentials as they are at one moment.

use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::ConfigExt;
use kube::{Client, Config};
use portgate_core::limits::{API_ANSWER, API_CONNECT, API_HEAD};
use rustls::ClientConfig;
use rustls::pki_types::{ServerName, UnixTime};
use tower::{BoxError, ServiceBuilder};

use crate::access::{self, Access};
use crate::answer::Failed;
use crate::certificate::Certificate;
use crate::error::{Call, ClientFault, Error};

/// When a silent server counts as gone: the first question after `KEEPALIVE.0`, and `KEEPALIVE.2` more, each
/// `KEEPALIVE.1` after the one before it. That is after 30 s. The questions are the kernel's own, and wake nobody.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 3);

/// When a server counts as gone that does not take what is sent to it.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A client, and what it was made from.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) access: Arc<Access>,
    server: Server,
    certificate: Option<Certificate>,
    /// The command of the credential plugin.
    plugin: Option<String>,
}

/// What a server is known by.
#[derive(PartialEq, Eq)]
struct Server {
    url: http::Uri,
    name: Option<String>,
    authorities: Option<Vec<Vec<u8>>>,
}

impl Server {
    fn of(config: &Config) -> Self {
        Self {
            url: config.cluster_url.clone(),
            name: config.tls_server_name.clone(),
            authorities: config.root_cert.clone(),
        }
    }
}

impl Session {
    /// Reads the credentials, and makes a client of them. A credential plugin may take as long as its user does, so
    /// this blocks the thread. Needs a runtime, for the tasks of the client.
    pub(crate) fn open(access: &Access) -> Result<Self, access::Error> {
        let (access, config) = access.read()?;
        Self::of(access, config)
    }

    /// The same for a server that does not answer, or not as the one that is meant: only if the credentials by now name
    /// another.
    pub(crate) fn moved(&self) -> Result<Option<Self>, access::Error> {
        let (access, config) = self.access.read()?;
        if Server::of(&config) == self.server { Ok(None) } else { Self::of(access, config).map(Some) }
    }

    fn of(access: Access, mut config: Config) -> Result<Self, access::Error> {
        let server = Server::of(&config);
        let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let refused = |error| access::Error::of_client(error, access.source(), plugin.as_deref());
        let auth = config.auth_layer().map_err(refused)?;
        if auth.is_some() {
            // The plugin has told a token. It need not be asked for a certificate as well.
            config.auth_info.exec = None;
        }
        let tls = config.rustls_client_config().map_err(refused)?;
        let certificate = Certificate::of(&tls);
        // It reads no more than this ahead, either.
        let connector = connector(&config, tls)?;
        let http = legacy::Client::builder(TokioExecutor::new()).http1_max_buf_size(API_HEAD.most).build(connector);
        let service = ServiceBuilder::new()
            .layer(config.base_uri_layer())
            .option_layer(auth)
            .layer(config.extra_headers_layer().map_err(refused)?)
            .map_err(BoxError::from)
            .service(http);
        let client = Client::new(service, access.namespace());
        Ok(Self { client, access: Arc::new(access), server, certificate, plugin })
    }

    /// One with a client that has no sockets.
    #[cfg(test)]
    pub(crate) fn mocked(client: Client, access: &Access) -> Self {
        let (access, config) = access.read().unwrap();
        Self { client, access: Arc::new(access), server: Server::of(&config), certificate: None, plugin: None }
    }

    /// The failure of a request of this session.
    pub(crate) fn failure(&self, call: Call, failed: Failed) -> Error {
        let call = Call { access: Arc::clone(&self.access), ..call };
        let error = match failed {
            Failed::Client(error) => Error::of(call, *error, self.plugin.as_deref()),
            Failed::TooMuch(limit) => Error::too_much(call, limit),
            Failed::Late => Error::late(call, API_ANSWER),
        };
        match error {
            Error::Unauthorized { call } if self.has_expired() => {
                Error::ClientCertificate { call, fault: ClientFault::Expired }
            }
            error => error,
        }
    }

    fn has_expired(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.has_expired(UnixTime::now()))
    }
}

type Connector = TimeoutConnector<hyper_rustls::HttpsConnector<HttpConnector>>;

fn connector(config: &Config, tls: ClientConfig) -> Result<Connector, access::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE.0));
    tcp.set_keepalive_interval(Some(KEEPALIVE.1));
    tcp.set_keepalive_retries(Some(KEEPALIVE.2));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let mut https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = &config.tls_server_name {
        let valid = ServerName::try_from(name.clone());
        let valid = valid.map_err(|_| access::Error::BadServer { server: name.clone() })?;
        https = https.with_server_name_resolver(FixedServerNameResolver::new(valid));
    }
    let mut connector = TimeoutConnector::new(https.enable_http1().wrap_connector(tcp));
    connector.set_connect_timeout(Some(API_CONNECT));
    Ok(connector)
}
