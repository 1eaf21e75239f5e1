//! What can be made to go wrong.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Transports};
use crate::hostile::Hostility;
use crate::request::{Attributes, Requests, Target};
use crate::status::Status;

/// A thing that goes wrong, once or from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// All connections break, now.
    KillConnections,
    /// All connections that carry a port-forward break, now.
    KillPortForwards,
    /// A pod is gone: the object, the connections that carry its port-forwards, and what was served in it.
    KillPod {
        /// Its namespace.
        namespace: String,
        /// Its name.
        pod: String,
    },
    /// New connections are refused. Those that are open stay.
    RefuseConnections,
    /// New connections are accepted again.
    AcceptConnections,
    /// All connections break, new ones are refused for this long, and then accepted again.
    Restart {
        /// How long.
        after: Duration,
    },
    /// Every response comes this much later. Zero ends it.
    Delay {
        /// How much.
        by: Duration,
    },
    /// Requests fail.
    Answer {
        /// Which ones.
        requests: Requests,
        /// How.
        failure: Failure,
        /// How many of them; `None`: all.
        times: Option<u32>,
    },
    /// Requests get what only a hostile server sends.
    Hostile {
        /// Which ones.
        requests: Requests,
        /// What.
        how: Hostility,
    },
    /// The user is not allowed to make requests, as RBAC would have it.
    Forbid {
        /// Which ones.
        requests: Requests,
    },
    /// Another bearer token is the right one; `None`: no token is.
    Token {
        /// The token.
        token: Option<String>,
    },
    /// Other transports of port-forwards are served.
    Transports(Transports),
    /// The history is forgotten, so that a watch of an older revision gets 410.
    Compact,
    /// Requests neither fail nor are they forbidden or late, and the server is honest.
    Mend,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 410
    Gone,
    /// 429
    TooManyRequests,
    /// 500
    InternalError,
    /// 503
    Unavailable,
}

/// What is going wrong with requests.
#[derive(Debug)]
pub(crate) struct Faults(Mutex<State>);

#[derive(Debug)]
struct State {
    delay: Duration,
    answers: Vec<Planned>,
    forbidden: Vec<Requests>,
    hostile: Vec<(Requests, Hostility)>,
    token: Option<String>,
    transports: Transports,
}

#[derive(Debug)]
struct Planned {
    requests: Requests,
    failure: Failure,
    left: Option<u32>,
}

impl Faults {
    pub(crate) fn new(config: &Config) -> Self {
        Self(Mutex::new(State {
            delay: Duration::ZERO,
            answers: Vec::new(),
            forbidden: Vec::new(),
            hostile: Vec::new(),
            token: config.authentication.token.clone(),
            transports: config.transports,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_delay(&self, delay: Duration) {
        self.state().delay = delay;
    }

    pub(crate) fn delay(&self) -> Duration {
        self.state().delay
    }

    /// The newest plan for a request is the one that is followed.
    pub(crate) fn plan(&self, requests: Requests, failure: Failure, times: Option<u32>) {
        self.state().answers.push(Planned { requests, failure, left: times });
    }

    /// How this request is to fail, if it is.
    pub(crate) fn planned(&self, target: &Target) -> Option<Failure> {
        let mut state = self.state();
        state.answers.retain(|planned| planned.left != Some(0));
        let planned = state.answers.iter_mut().rev().find(|planned| planned.requests.cover(target))?;
        planned.left = planned.left.map(|left| left - 1);
        Some(planned.failure)
    }

    pub(crate) fn forbid(&self, requests: Requests) {
        self.state().forbidden.push(requests);
    }

    pub(crate) fn forbids(&self, request: &Attributes) -> bool {
        self.state().forbidden.iter().any(|requests| requests.cover_objects(request))
    }

    pub(crate) fn be_hostile(&self, requests: Requests, how: Hostility) {
        self.state().hostile.push((requests, how));
    }

    /// How the server is hostile to this request, if it is.
    pub(crate) fn hostility(&self, target: &Target) -> Option<Hostility> {
        let state = self.state();
        let mut newest = state.hostile.iter().rev();
        newest.find(|(requests, _)| requests.cover(target)).map(|(_, how)| how.clone())
    }

    /// How the server is hostile to every new connection, if it is.
    pub(crate) fn hostility_to_connections(&self) -> Option<Hostility> {
        let state = self.state();
        let mut newest = state.hostile.iter().rev();
        newest.find(|(_, how)| how.is_of_connections()).map(|(_, how)| how.clone())
    }

    pub(crate) fn mend(&self) {
        let mut state = self.state();
        state.delay = Duration::ZERO;
        state.answers.clear();
        state.forbidden.clear();
        state.hostile.clear();
    }

    pub(crate) fn set_token(&self, token: Option<String>) {
        self.state().token = token;
    }

    pub(crate) fn token(&self) -> Option<String> {
        self.state().token.clone()
    }

    pub(crate) fn set_transports(&self, transports: Transports) {
        self.state().transports = transports;
    }

    pub(crate) fn transports(&self) -> Transports {
        self.state().transports
    }
}

impl Failure {
    /// What the request gets, whose path is `path`.
    pub(crate) fn status(self, user: &str, path: &str, target: &Target) -> Status {
        let objects = match target {
            Target::Objects(objects) => Some(objects),
            Target::Document(_) => None,
        };
        match self {
            Self::Unauthorized => Status::unauthorized(),
            Self::Forbidden => {
                objects.map_or_else(|| Status::forbidden_path(user, path), |objects| Status::forbidden(user, objects))
            }
            Self::NotFound => match objects.and_then(|objects| Some((objects.resource, objects.name.as_ref()?))) {
                Some((resource, name)) => Status::not_found(resource, name),
                None => Status::no_such_resource(),
            },
            Self::Gone => Status::expired("The resourceVersion for the provided watch is too old."),
            Self::TooManyRequests => Status::too_many_requests(),
            Self::InternalError => Status::internal("etcdserver: request timed out"),
            Self::Unavailable => Status::unavailable(),
        }
    }
}
