//! Connections for port-forwards, by whichever way the API server takes.

use std::sync::{Mutex, PoisonError};

use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use kube::core::response::StatusSummary;
use portgate_core::port::Port;
use serde::Deserialize;
use tokio_tungstenite::WebSocketStream;

use super::PodName;
use super::error::{ForwardError, Refusal};
use super::transport::{Granted, Transport, Upgrade};
use super::wire::{Connection, Plain, Tunnel, Wire, websocket};
use crate::answer::{cut, refusal};
use crate::api::Api;
use crate::error::{Call, Error as ApiError, Verb};
use crate::resource::Resource;

/// The ways that carry sessions, the faster one first: it has no WebSocket's frames, and masks nothing.
const SESSIONS: [Transport; 2] = [Transport::Spdy, Transport::Tunnel];

/// How much of a refusal's text is kept, in characters.
const MESSAGE: usize = 200;

/// Makes connections, and remembers which way the API server takes.
pub(super) struct Connector {
    api: Api,
    works: Mutex<Option<Transport>>,
}

/// A connection, or why it is not made this way.
type Outcome = Result<Connection, Refusal>;

impl Connector {
    pub(super) fn new(api: Api) -> Self {
        Self { api, works: Mutex::new(None) }
    }

    /// The way that worked last.
    pub(super) fn works(&self) -> Option<Transport> {
        *self.works.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection for a session.
    pub(super) async fn session(&self, pod: &PodName) -> Result<Box<dyn Wire>, ForwardError> {
        let mut order = SESSIONS;
        order.sort_by_key(|transport| Some(*transport) != self.works());
        let mut refusals = Vec::new();
        for transport in order {
            match self.upgrade(transport, pod, None).await? {
                Ok(connection) if transport == Transport::Spdy => return Ok(Box::new(Plain(connection))),
                Ok(connection) => return Ok(Box::new(Tunnel::new(connection).await)),
                Err(refusal) => refusals.push(refusal),
            }
        }
        Err(self.refused(refusals))
    }

    /// A connection for one stream, by the last resort.
    pub(super) async fn channels(
        &self,
        pod: &PodName,
        port: Port,
    ) -> Result<WebSocketStream<Connection>, ForwardError> {
        match self.upgrade(Transport::Channels, pod, Some(port)).await? {
            Ok(connection) => Ok(websocket(connection).await),
            Err(refusal) => Err(self.refused(vec![refusal])),
        }
    }

    fn refused(&self, refusals: Vec<Refusal>) -> ForwardError {
        ForwardError::Refused { server: self.api.access().server().to_owned(), refusals }
    }

    async fn upgrade(&self, transport: Transport, pod: &PodName, port: Option<Port>) -> Result<Outcome, ForwardError> {
        let Upgrade { request, granted } = transport.upgrade(pod, port);
        let granted = &granted;
        let ask = |client: Client, request: Request<Vec<u8>>| async move {
            Ok(settle(transport, granted, client.send(request.map(Body::from)).await?).await?)
        };
        let call = self.call(transport.verb(), Resource::PortForwards, pod);
        let outcome = match self.api.answer(&call, request.map_err(kube::Error::HttpError), ask).await {
            Err(ApiError::NotFound { .. }) => return Err(ForwardError::NoPod { pod: pod.clone() }),
            Err(error) => return Err(self.explain(pod, error.into()).await),
            Ok(outcome) => outcome,
        };
        if outcome.is_ok() {
            *self.works.lock().unwrap_or_else(PoisonError::into_inner) = Some(transport);
        }
        Ok(outcome)
    }

    /// Looks whether it is the pod's fault: of a pod that does not run, the API server says this and that.
    pub(super) async fn explain(&self, pod: &PodName, error: ForwardError) -> ForwardError {
        let is_unclear = match &error {
            ForwardError::Refused { .. } => true,
            ForwardError::Api(error) => matches!(error.as_ref(), ApiError::Server { .. }),
            _ => false,
        };
        if !is_unclear {
            return error;
        }
        match self.phase(pod).await {
            Ok(phase) if phase == "Running" => error,
            Ok(phase) => ForwardError::NotRunning { pod: pod.clone(), phase },
            Err(ApiError::NotFound { .. }) => ForwardError::NoPod { pod: pod.clone() },
            Err(_) => error,
        }
    }

    async fn phase(&self, pod: &PodName) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Pod {
            #[serde(default)]
            status: PodStatus,
        }
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct PodStatus {
            phase: String,
        }
        let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace, pod.name);
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError);
        let found: Pod = self.api.object(&self.call(Verb::Get, Resource::Pods, pod), request).await?;
        Ok(cut(&found.status.phase))
    }

    fn call(&self, verb: Verb, resource: Resource, pod: &PodName) -> Call {
        Call { verb, resource: Some(resource), namespace: Some(pod.namespace.clone()), access: self.api.access() }
    }
}

/// The connection that an answer grants, or what else it says.
async fn settle(transport: Transport, granted: &Granted, answer: Response<Body>) -> kube::Result<Outcome> {
    let code = answer.status();
    if code == StatusCode::SWITCHING_PROTOCOLS && granted.is_by(answer.headers()) {
        let connection = hyper::upgrade::on(answer).await.map_err(kube::Error::HyperError)?;
        return Ok(Ok(TokioIo::new(connection)));
    }
    let is_error = code.is_client_error() || code.is_server_error();
    let body = if is_error { refusal(answer.into_body()).await? } else { Vec::new() };
    let message = judge(code, &body).map_err(kube::Error::Api)?;
    Ok(Err(Refusal { transport, code: code.as_u16(), message }))
}

/// Whether an answer refuses this way of carrying a port-forward, or any: then it is an error.
///
/// What the API server itself says of a request is a `Status`, and that counts, but for 400: it says so of a pod
/// without a node and of a request that lost its upgrade on the way, and only its words tell them apart. What comes
/// without a `Status` is a proxy's or, if the API server has passed the request on, a node's.
fn judge(code: StatusCode, body: &[u8]) -> Result<String, Box<Status>> {
    let status = serde_json::from_slice::<Status>(body).ok();
    let status = status.filter(|status| status.status == Some(StatusSummary::Failure));
    let text = String::from_utf8_lossy(body);
    let first_line = || text.lines().next().unwrap_or_default().chars().take(MESSAGE).collect::<String>();
    let message = status.as_ref().map_or_else(first_line, |status| cut(&status.message));
    let is_final = match code {
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => false,
        StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => status.is_some(),
        code => code.is_server_error(),
    };
    if !is_final {
        return Ok(message);
    }
    Err(Box::new(Status { code: code.as_u16(), message, ..status.unwrap_or_default() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16) -> String {
        format!(r#"{{"kind": "Status", "status": "Failure", "message": "so it is", "code": {code}}}"#)
    }

    fn judged(code: u16, body: &str) -> Result<String, u16> {
        judge(StatusCode::from_u16(code).unwrap(), body.as_bytes()).map_err(|status| status.code)
    }

    #[test]
    fn what_the_api_server_says_itself_counts_for_every_way() {
        for code in [401, 403, 404, 429, 500, 503] {
            assert_eq!(judged(code, &status(code)), Err(code));
        }
    }

    #[test]
    fn what_a_proxy_or_a_node_says_may_be_about_this_way_only() {
        for code in [400, 403, 404, 405, 407, 426, 501, 505] {
            assert_eq!(judged(code, "no way\nat all"), Ok("no way".to_owned()));
        }
        for code in [401, 429, 500, 502, 504] {
            assert_eq!(judged(code, "<html>"), Err(code), "another way would not help");
        }
    }

    #[test]
    fn a_request_that_lost_its_upgrade_is_a_bad_one_to_the_api_server() {
        assert_eq!(judged(400, &status(400)), Ok("so it is".to_owned()));
        assert_eq!(judged(200, ""), Ok(String::new()));
        assert_eq!(judged(302, "{}"), Ok("{}".to_owned()));
    }
}
