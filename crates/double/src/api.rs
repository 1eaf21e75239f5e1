//! Answering the API's requests.

use std::sync::{Arc, Mutex};

use hyper::Request;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, StatusCode};

use crate::answer::{self, Answer};
use crate::connections::Connection;
use crate::discovery;
use crate::hostile::Hostility;
use crate::list;
use crate::options::Query;
use crate::portforward::{self, Session};
use crate::request::{Attributes, Target};
use crate::resource::{Resource, Verb};
use crate::shared::Shared;
use crate::status::Status;
use crate::watch;

/// The other side of a connection.
pub(crate) struct Peer {
    /// Whether it has shown the client's certificate.
    pub(crate) certified: bool,
    pub(crate) connection: Connection,
    /// The port-forward that the connection is to carry from now on.
    pub(crate) session: Mutex<Option<Session>>,
}

pub(crate) async fn answer(shared: &Arc<Shared>, peer: &Peer, request: Request<Incoming>) -> Answer {
    let delay = shared.faults.delay();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(how) = hostility(shared, &request)
        && let Some(answer) = how.answer().await
    {
        return answer;
    }
    decide(shared, peer, request).unwrap_or_else(|status| answer::failure(&status))
}

/// How the server is hostile to a request, if it is.
fn hostility(shared: &Shared, request: &Request<Incoming>) -> Option<Hostility> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let target = Target::parse(request.method(), request.uri().path(), query.watch).ok()?;
    shared.faults.hostility(&target)
}

fn decide(shared: &Arc<Shared>, peer: &Peer, request: Request<Incoming>) -> Result<Answer, Status> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let mut target = Target::parse(request.method(), request.uri().path(), query.watch);
    if let Ok(Target::Objects(objects)) = &mut target {
        objects.selects_one = query.selects_one();
    }
    let user = &shared.config.user;
    if let Ok(target) = &target {
        if let Target::Objects(objects) = target {
            shared.tally.request(objects.verb, objects.resource);
        }
        if let Some(failure) = shared.faults.planned(target) {
            return Err(failure.status(user, request.uri().path(), target));
        }
    }
    if !is_let_in(shared, peer, request.headers()) {
        return Err(Status::unauthorized());
    }
    match target? {
        Target::Document(document) => Ok(answer::object(&discovery::document(document, &shared.address.to_string()))),
        Target::Objects(objects) => {
            allow(shared, &objects)?;
            serve(shared, peer, request, &objects, &query)
        }
    }
}

fn serve(
    shared: &Arc<Shared>,
    peer: &Peer,
    request: Request<Incoming>,
    objects: &Attributes,
    query: &Query,
) -> Result<Answer, Status> {
    match (&objects.name, objects.verb) {
        (Some(name), _) if objects.resource == Resource::PortForward => {
            portforward::answer(shared, peer, request, objects, name, query)
        }
        (Some(name), _) => Ok(answer::object(&*list::get(&shared.store, objects, name)?)),
        (None, Verb::Watch) => {
            let options = query.watch(objects.resource)?;
            let events = watch::watch(&shared.store, objects, options, shared.config.bookmarks)?;
            Ok(answer::json(StatusCode::OK, events))
        }
        (None, _) => {
            let options = query.list(objects.resource)?;
            Ok(answer::object(&list::list(&shared.store, objects, &options)?))
        }
    }
}

/// Whether the request's sender is known.
fn is_let_in(shared: &Shared, peer: &Peer, headers: &HeaderMap) -> bool {
    let authentication = &shared.config.authentication;
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    authentication.anonymous
        || (authentication.certificate && peer.certified)
        || shown.is_some_and(|shown| shared.faults.token().as_deref() == Some(shown))
}

/// Whether the user may do this.
pub(crate) fn allow(shared: &Shared, objects: &Attributes) -> Result<(), Status> {
    if shared.faults.forbids(objects) { Err(Status::forbidden(&shared.config.user, objects)) } else { Ok(()) }
}
