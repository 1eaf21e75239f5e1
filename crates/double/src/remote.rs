//! The control endpoint, both of its ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::command::Command;
use crate::control::ControlError;
use crate::shared::Shared;

/// Answers all who connect.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(converse(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control endpoint");
                    tokio::task::yield_now().await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn converse(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    // What goes wrong on a connection is its client's concern.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let refusal = match body.collect().await {
        Err(error) => error.to_string(),
        Ok(body) => {
            let query = head.uri.query().unwrap_or_default();
            match Command::parse(&head.method, head.uri.path(), query, &body.to_bytes()) {
                Err(error) => error.to_string(),
                Ok(command) => match shared.obey(command).await {
                    Err(error) => error.to_string(),
                    Ok(answer) => return Ok(Response::new(answer.into())),
                },
            }
        }
    };
    let mut response = Response::new(refusal.into());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

/// Sends a command to the double whose control endpoint is here, and gives back its answer.
pub(crate) async fn send(address: SocketAddr, command: &Command) -> Result<String, ControlError> {
    let (method, uri, body) = command.request()?;
    let stream = TcpStream::connect(address).await.map_err(|source| ControlError::Connect { address, source })?;
    let (mut requests, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().map_err(|_| ControlError::Refused { message: format!("{uri} is no path") })?;
    let host = address.to_string().parse().map_err(|_| ControlError::Refused { message: "no host".to_owned() })?;
    request.headers_mut().insert(hyper::header::HOST, host);
    let response = requests.send_request(request).await?;
    let status = response.status();
    let text = String::from_utf8_lossy(&response.into_body().collect().await?.to_bytes()).into_owned();
    if status.is_success() { Ok(text) } else { Err(ControlError::Refused { message: text }) }
}
