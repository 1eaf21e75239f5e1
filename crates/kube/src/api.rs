//! An API server that is asked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use http::Request;
use kube::Client;
use portgate_core::kubernetes::{Kind, ObjectKey, Objects};
use portgate_core::limits::{
    API_ANSWER, API_KEPT, API_LIST, API_LISTING, API_OBJECT, API_OBJECTS, API_PAGE, API_PAGES, Limit,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::access::{self, Access};
use crate::answer::{self, AT_ONCE, Failed, Lines, Turn, Turns};
use crate::error::{Call, Error, Verb};
use crate::known::Known;
use crate::objects::{self, Object, Page, Unread};
use crate::resource::{By, Resource, Selection};
use crate::session::Session;

/// How a page of a selection is asked for, the first or that of this token.
type PageRequest = fn(&Selection, Option<String>) -> Result<Request<Vec<u8>>, kube::core::request::Error>;

/// How a page is read.
type ReadPage = fn(Resource, &[u8]) -> Result<Page, Unread>;

/// All objects of a selection.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) objects: Vec<Object>,
    /// The resource version that they are of.
    pub(crate) version: String,
    /// The right to hold them, until they are where they count.
    pub(crate) turn: Turn,
}

/// An API server that can be asked. Clones share their connections.
///
/// Credentials that the server does not accept any more are read anew, and the question is asked once more. So they are
/// where the server does not answer, if by now they name another one.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    session: watch::Sender<Arc<Session>>,
    /// Whose turn it is to read the credentials anew.
    renewal: Mutex<()>,
    turns: Turns,
}

impl Api {
    /// Reads the credentials, and makes a client of them. The server is not asked yet.
    pub async fn connect(access: &Access) -> Result<Self, access::Error> {
        let access = access.clone();
        let session = blocking(move || Session::open(&access)).await?;
        Ok(Self::over(session))
    }

    pub(crate) fn over(session: Session) -> Self {
        Self(Arc::new(Inner {
            session: watch::Sender::new(Arc::new(session)),
            renewal: Mutex::new(()),
            turns: Turns::default(),
        }))
    }

    /// How the server is reached at the moment.
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.session().access)
    }

    /// The server's version, such as `v1.36.0`.
    pub async fn version(&self) -> Result<String, Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let call = Call { verb: Verb::Get, resource: None, namespace: None, access: self.access() };
        let request = Request::get("/version").body(Vec::new()).map_err(kube::Error::HttpError);
        let version: Version = self.object(&call, request).await?;
        Ok(version.git_version)
    }

    /// All Services, with their endpoints: of one namespace or of all, and only those with labels that `selector`
    /// describes, as kubectl's `-l` has it.
    pub async fn services(&self, namespace: Option<&str>, selector: Option<&str>) -> Result<Objects, Error> {
        let of = |resource, by| Selection { resource, namespace: namespace.map(str::to_owned), by };
        let by = selector.map_or(By::All, |selector| By::Labels(selector.to_owned()));
        let mut known = Known::default();
        self.ask(vec![of(Resource::Services, by), of(Resource::EndpointSlices, By::All)], &mut known).await?;
        Ok(known.objects(&known.service_keys()))
    }

    /// These objects as they are now. Those that do not exist are left out.
    pub async fn objects(&self, keys: &[ObjectKey]) -> Result<Objects, Error> {
        let keys = keys.iter().cloned().collect();
        let mut known = Known::default();
        loop {
            let wanted = known.wanted(&keys, false).into_iter().filter(|selection| !known.has(selection));
            let wanted: Vec<Selection> = wanted.collect();
            if wanted.is_empty() {
                return Ok(known.objects(&keys));
            }
            self.ask(wanted, &mut known).await?;
        }
    }

    /// The names of all objects of a kind in a namespace, sorted.
    pub async fn names(&self, kind: Kind, namespace: &str) -> Result<Vec<String>, Error> {
        self.names_of(Selection { resource: kind.into(), namespace: Some(namespace.to_owned()), by: By::All }).await
    }

    /// The names of all namespaces, sorted.
    pub async fn namespaces(&self) -> Result<Vec<String>, Error> {
        self.names_of(Selection { resource: Resource::Namespaces, namespace: None, by: By::All }).await
    }

    async fn names_of(&self, selection: Selection) -> Result<Vec<String>, Error> {
        let list = self.pages(&selection, Selection::list_names, |_, text| objects::names(text)).await?;
        let names: BTreeSet<String> = list.objects.into_iter().map(|object| object.place.1).collect();
        Ok(names.into_iter().collect())
    }

    /// Asks for all these, some at a time. Of several failures it reports that of the first selection.
    async fn ask(&self, selections: Vec<Selection>, known: &mut Known) -> Result<(), Error> {
        let mut missing: BTreeSet<usize> = (0..selections.len()).collect();
        let ask = async |(turn, selection): (usize, Selection)| (turn, self.list(&selection).await, selection);
        let answers = futures_util::stream::iter(selections.into_iter().enumerate()).map(ask);
        let mut answers = std::pin::pin!(answers.buffer_unordered(AT_ONCE));
        let mut failed: Option<(usize, Error)> = None;
        // Each is taken at once: another may wait for its turn.
        while let Some((turn, answer, selection)) = answers.next().await {
            missing.remove(&turn);
            let call = || Call::of(Verb::List, &selection, &self.access());
            let taken = answer
                .and_then(|list| known.set(&selection, list.objects).map_err(|limit| Error::too_much(call(), limit)));
            match taken {
                Err(error) if failed.as_ref().is_none_or(|(first, _)| turn < *first) => failed = Some((turn, error)),
                _ => {}
            }
            if failed.as_ref().is_some_and(|(first, _)| missing.first().is_none_or(|next| next > first)) {
                break;
            }
        }
        failed.map_or(Ok(()), |(_, error)| Err(error))
    }

    /// All objects of a selection.
    pub(crate) async fn list(&self, selection: &Selection) -> Result<List, Error> {
        self.pages(selection, Selection::list, objects::page).await
    }

    async fn pages(&self, selection: &Selection, request: PageRequest, read: ReadPage) -> Result<List, Error> {
        let call = Call::of(Verb::List, selection, &self.access());
        match timeout(API_LISTING, self.read_pages(&call, selection, request, read)).await {
            Ok(list) => list,
            Err(_) => Err(Error::late(call, API_LISTING)),
        }
    }

    async fn read_pages(
        &self,
        call: &Call,
        selection: &Selection,
        request: PageRequest,
        read: ReadPage,
    ) -> Result<List, Error> {
        let within = |value: usize, limit: Limit| {
            if value > limit.most { Err(Error::too_much(call.clone(), limit)) } else { Ok(()) }
        };
        let mut list = List { objects: Vec::new(), version: String::new(), turn: Turn::default() };
        let (mut next, mut length, mut weight) = (None, 0, 0);
        for _ in 0..API_PAGES.most {
            let asked = request(selection, next).map_err(kube::Error::BuildRequest);
            let text = self.text(call, asked, API_PAGE, &mut list.turn).await?;
            length += text.len();
            within(length, API_LIST)?;
            let page = read(selection.resource, &text).map_err(|unread| Error::of_unread(call.clone(), unread))?;
            weight += page.objects.iter().map(Object::weight).sum::<usize>();
            within(list.objects.len() + page.objects.len(), API_OBJECTS)?;
            within(weight, API_KEPT)?;
            self.0.turns.grow(&mut list.turn, weight).await;
            list.objects.extend(page.objects);
            next = page.next;
            if next.is_none() {
                return Ok(List { version: page.version, ..list });
            }
        }
        Err(Error::too_much(call.clone(), API_PAGES))
    }

    /// What changes among these objects after a resource version; the server ends its answer after `limit`.
    pub(crate) async fn changes(&self, selection: &Selection, version: &str, limit: Duration) -> Result<Lines, Error> {
        let call = Call::of(Verb::Watch, selection, &self.access());
        let request = selection.watch(version, limit).map_err(kube::Error::BuildRequest);
        let turns = &self.0.turns;
        let lines = |client: Client, request| async move {
            let answer = answer::send(&client, request).await?;
            Ok(Lines::new(answer.into_body(), turns.clone()))
        };
        self.answer(&call, request, lines).await
    }

    /// One object, of which only some fields count.
    pub(crate) async fn object<T: DeserializeOwned>(
        &self,
        call: &Call,
        request: Result<Request<Vec<u8>>, kube::Error>,
    ) -> Result<T, Error> {
        let text = self.text(call, request, API_OBJECT, &mut Turn::default()).await?;
        serde_json::from_slice(&text).map_err(|error| Error::of_unread(call.clone(), error.into()))
    }

    /// An answer of at most `limit`.
    async fn text(
        &self,
        call: &Call,
        request: Result<Request<Vec<u8>>, kube::Error>,
        limit: Limit,
        turn: &mut Turn,
    ) -> Result<Vec<u8>, Error> {
        let (turn, turns) = (&Mutex::new(turn), &self.0.turns);
        let read = |client: Client, request| async move {
            let answer = answer::send(&client, request).await?;
            turns.read(&mut **turn.lock().await, answer.into_body(), limit).await
        };
        self.answer(call, request, read).await
    }

    /// Asks, and once more if there is a new session after a failure.
    pub(crate) async fn answer<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        call: &Call,
        request: Result<Request<Vec<u8>>, kube::Error>,
        ask: impl Fn(Client, Request<Vec<u8>>) -> F,
    ) -> Result<T, Error> {
        let session = self.session();
        let request = request.map_err(|error| session.failure(call.clone(), error.into()))?;
        let failed = match attempt(&session, call, ask(session.client.clone(), request.clone())).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match self.renewed(&session, &failed).await? {
            Some(session) => attempt(&session, call, ask(session.client.clone(), request)).await,
            None => Err(failed),
        }
    }

    /// The session after this failed one, if there is reason for another: credentials that were not accepted are read
    /// anew at once, and a server that does not answer may have moved.
    async fn renewed(&self, failed: &Arc<Session>, error: &Error) -> Result<Option<Arc<Session>>, Error> {
        let refused = match error {
            Error::Unauthorized { .. } | Error::ClientCertificate { .. } => true,
            Error::Unreachable { .. } | Error::ServerCertificate { .. } => false,
            _ => return Ok(None),
        };
        let _turn = self.0.renewal.lock().await;
        let current = self.session();
        if !Arc::ptr_eq(failed, &current) {
            return Ok(Some(current));
        }
        let failed = Arc::clone(failed);
        let new = if refused {
            Some(blocking(move || Session::open(&failed.access)).await?)
        } else {
            // Without credentials to read, what has failed is still that the server does not answer.
            blocking(move || failed.moved()).await.unwrap_or_default()
        };
        Ok(new.map(|session| {
            let session = Arc::new(session);
            self.0.session.send_replace(Arc::clone(&session));
            session
        }))
    }

    /// The failure of a request of the session of now.
    pub(crate) fn failure(&self, call: Call, failed: Failed) -> Error {
        self.session().failure(call, failed)
    }

    fn session(&self) -> Arc<Session> {
        Arc::clone(&self.0.session.borrow())
    }
}

async fn attempt<T>(
    session: &Session,
    call: &Call,
    answer: impl Future<Output = Result<T, Failed>>,
) -> Result<T, Error> {
    let answer = timeout(API_ANSWER, answer).await.unwrap_or(Err(Failed::Late));
    answer.map_err(|failed| session.failure(call.clone(), failed))
}

/// Does what blocks a thread on one of its own. A panic there is one here; a runtime that ends never answers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
