//! A client that knows nothing but a kubeconfig.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use portgate_double::{Double, Kubeconfig};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// How long anything may take before a test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// The outcome of what should happen soon.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    pub(crate) token: Option<String>,
}

/// A connection that is kept.
pub(crate) struct Kept {
    requests: SendRequest<Empty<Bytes>>,
    token: Option<String>,
    /// The connection's task.
    _task: JoinSet<()>,
}

impl Client {
    pub(crate) async fn of(double: &Double) -> Self {
        Self::from_kubeconfig(&double.kubeconfig(&Kubeconfig::default()).await.unwrap())
    }

    pub(crate) fn from_kubeconfig(text: &str) -> Self {
        let config: Value = serde_saphyr::from_str(text).unwrap();
        let decode = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let user = &config["users"][0]["user"];
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&decode(&cluster["certificate-authority-data"])).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let tls = if user["client-certificate-data"].is_string() {
            let certificate = CertificateDer::from_pem_slice(&decode(&user["client-certificate-data"])).unwrap();
            let key = PrivateKeyDer::from_pem_slice(&decode(&user["client-key-data"])).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        } else {
            builder.with_no_client_auth()
        };
        let address = cluster["server"].as_str().unwrap().strip_prefix("https://").unwrap().parse().unwrap();
        Self { address, tls: Arc::new(tls), token: user["token"].as_str().map(str::to_owned) }
    }

    /// This client, led to another server.
    pub(crate) fn at(&self, address: SocketAddr) -> Self {
        Self { address, ..self.clone() }
    }

    /// A TLS connection; an error if there is none.
    pub(crate) async fn dial(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::from(self.address.ip());
        soon(TlsConnector::from(Arc::clone(&self.tls)).connect(name, stream)).await
    }

    pub(crate) async fn keep(&self) -> Kept {
        let (requests, connection) = handshake(TokioIo::new(self.dial().await.unwrap())).await.unwrap();
        let mut task = JoinSet::new();
        task.spawn(async move { drop(connection.await) });
        Kept { requests, token: self.token.clone(), _task: task }
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.keep().await.get(path).await.unwrap()
    }

    /// What is there, which must be.
    pub(crate) async fn found(&self, path: &str) -> Value {
        let (code, value) = self.get(path).await;
        assert_eq!(code, 200, "{value}");
        value
    }

    pub(crate) async fn watch(&self, path: &str) -> Events {
        let mut kept = self.keep().await;
        let response = kept.send(&Method::GET, path).await.unwrap();
        assert_eq!(response.status(), 200);
        Events { body: response.into_body(), buffer: BytesMut::new(), _connection: kept }
    }
}

impl Kept {
    pub(crate) async fn send(&mut self, method: &Method, path: &str) -> hyper::Result<Response<Incoming>> {
        let mut request = Request::builder().method(method).uri(path).header("Host", "double");
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        soon(self.requests.send_request(request.body(Empty::new()).unwrap())).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> hyper::Result<(u16, Value)> {
        let response = self.send(&Method::GET, path).await?;
        let code = response.status().as_u16();
        let body = soon(response.into_body().collect()).await?.to_bytes();
        let value = serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into());
        Ok((code, value))
    }

    /// Waits until the server has ended the connection.
    pub(crate) async fn ended(&mut self) {
        let closed = async {
            while self.requests.ready().await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        soon(closed).await;
    }
}

/// The events of a watch.
pub(crate) struct Events {
    body: Incoming,
    buffer: BytesMut,
    _connection: Kept,
}

impl Events {
    /// The next event; `None` at the end, and at a broken one.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = soon(self.body.frame()).await?.ok()?;
            self.buffer.extend_from_slice(frame.data_ref().unwrap());
        }
    }

    /// The type of the next event, and the name of its object.
    pub(crate) async fn told(&mut self) -> (String, String) {
        let event = self.next().await.expect("the watch goes on");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}
