//! Port-forwards: which transport a request gets, and carrying it.

mod channels;
mod handshake;
mod lane;
mod runtime;
mod spdy;
mod websocket;
mod wire;

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hyper::Request;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::answer::Answer;
use crate::api::{Peer, allow};
use crate::connections::PodName;
use crate::hostile::Hostility;
use crate::list;
use crate::options::Query;
use crate::request::{Attributes, Target};
use crate::resource::{Resource, Verb};
use crate::shared::Shared;
use crate::status::Status;

use handshake::{Form, Offer};
use runtime::Runtime;

/// A port-forward that a connection is to carry once its upgrade is done.
pub(crate) struct Session {
    upgrade: OnUpgrade,
    form: Form,
    runtime: Runtime,
    hostility: Option<Hostility>,
}

/// Answers a request for a port-forward. If it is granted, the session is left with the peer.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    peer: &Peer,
    mut request: Request<Incoming>,
    objects: &Attributes,
    name: &str,
    query: &Query,
) -> Result<Answer, Status> {
    let offer = Offer::read(request.headers());
    if let Some(Offer::WebSocket { .. }) = offer {
        // Since Kubernetes 1.35, a GET needs the right to what it does, too.
        allow(shared, &Attributes { verb: Verb::Create, ..objects.clone() })?;
    }
    let pods = Attributes { resource: Resource::Pods, ..objects.clone() };
    let pod = list::get(&shared.store, &pods, name)?;
    if pod["spec"]["nodeName"].as_str().is_none_or(str::is_empty) {
        return Err(Status::bad_request(format!("pod {name} does not have a host assigned")));
    }
    let offer = offer.ok_or_else(handshake::not_an_upgrade)?;
    let (form, answer) = match offer.accept(shared.faults.transports(), &query.ports)? {
        Ok(accepted) => accepted,
        Err(refusal) => return Ok(refusal),
    };
    let pod_name = PodName { namespace: objects.namespace.clone().unwrap_or_default(), name: name.to_owned() };
    let hostility = shared.faults.hostility(&Target::Objects(objects.clone()));
    let runtime = Runtime::new(Arc::clone(shared), pod_name.clone(), &pod["metadata"]["uid"], hostility.clone());
    let session = Session { upgrade: hyper::upgrade::on(&mut request), form, runtime, hostility };
    *peer.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(session);
    peer.connection.carries(pod_name);
    shared.tally.sessions.fetch_add(1, Ordering::Relaxed);
    Ok(answer)
}

impl Session {
    /// Carries the session until either side ends it.
    pub(crate) async fn run(self) {
        let Ok(connection) = self.upgrade.await else { return };
        let connection = TokioIo::new(connection);
        if let Some(how) = self.hostility.filter(Hostility::is_mute) {
            let websocket = !matches!(self.form, Form::Spdy { websocket: false });
            // That the client leaves is no error.
            let _ = Box::pin(how.carry(connection, websocket)).await;
            return;
        }
        match self.form {
            Form::Spdy { websocket } => spdy::run(connection, self.runtime, websocket).await,
            Form::Channels { base64, ports } => {
                channels::run(connection, self.runtime, &ports, base64).await;
            }
        }
    }
}
