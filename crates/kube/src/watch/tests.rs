//! Long times, before a server without sockets: the clock goes on as soon as everybody waits.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response};
use http_body_util::StreamBody;
use hyper::body::Frame;
use kube::client::Body;
use portgate_core::kubernetes::Kind;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::*;
use crate::access::{Access, ContainerKubeconfig};
use crate::session::Session;

const HOUR: Duration = Duration::from_hours(1);

/// How often a watch gets a bookmark, as from a real server.
const BOOKMARK: Duration = Duration::from_mins(1);

const KUBECONFIG: &str = "contexts: [{ name: c, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:6443', certificate-authority-data: YQ== } }]
current-context: c";

/// What becomes of a watch.
#[derive(Clone, Copy)]
enum Manner {
    /// It gets bookmarks and changes, and ends when its time is over.
    Good,
    /// It ends as soon as it has begun.
    Brief,
    /// It gets nothing, and has no end.
    Stalled,
    /// It is not answered.
    Silent,
}

/// A Service `web`, whose annotation and node port can be changed.
#[derive(Clone, Copy)]
struct Web {
    version: u64,
    annotation: u64,
    node_port: u64,
}

/// A server with one Service.
#[derive(Clone)]
struct Server {
    manner: Manner,
    web: Arc<watch::Sender<Web>>,
    requests: Arc<Mutex<Vec<String>>>,
}

type Lines = Pin<Box<dyn Stream<Item = String> + Send>>;

impl Server {
    fn new(manner: Manner) -> Self {
        let web = Web { version: 1, annotation: 0, node_port: 30080 };
        Self { manner, web: Arc::new(watch::Sender::new(web)), requests: Arc::default() }
    }

    fn api(&self) -> Api {
        let server = self.clone();
        let service = tower::service_fn(move |request| server.clone().answer(request));
        let kubeconfig = ContainerKubeconfig::read("server", KUBECONFIG).unwrap();
        let access = Access::of_container(kubeconfig, "127.0.0.1:6443".parse().unwrap());
        Api::over(Session::mocked(kube::Client::new(service, "default"), &access))
    }

    fn watch(&self, nodes: bool) -> Watch {
        let key = ObjectKey { kind: Kind::Service, namespace: "shop".to_owned(), name: "web".to_owned() };
        self.api().watch([key].into(), nodes)
    }

    fn change(&self, change: impl Fn(&mut Web)) {
        self.web.send_modify(|web| {
            web.version += 1;
            change(web);
        });
    }

    /// How many requests there were with these words in them.
    fn count(&self, words: &[&str]) -> usize {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| words.iter().all(|word| request.contains(word))).count()
    }

    async fn answer(
        self,
        request: Request<Body>,
    ) -> Result<Response<StreamBody<impl Stream<Item = Result<Frame<Bytes>, Infallible>>>>, Infallible> {
        let uri = request.uri().to_string();
        self.requests.lock().unwrap().push(uri.clone());
        let (code, lines): (u16, Lines) = if uri.contains("/nodes") {
            let status = r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403}"#;
            (403, Box::pin(stream::iter([status.to_owned()])))
        } else if uri.contains("watch=true") {
            if matches!(self.manner, Manner::Silent) {
                std::future::pending::<()>().await;
            }
            (200, self.changes(&uri))
        } else {
            let web = *self.web.borrow();
            let items = if uri.contains("/services") { web.object() } else { String::new() };
            let list = format!(r#"{{"metadata":{{"resourceVersion":"{}"}},"items":[{items}]}}"#, web.version);
            (200, Box::pin(stream::iter([list])))
        };
        let body = StreamBody::new(lines.map(|line| Ok(Frame::data(Bytes::from(line + "\n")))));
        Ok(Response::builder().status(code).body(body).unwrap())
    }

    fn changes(&self, uri: &str) -> Lines {
        let number = |name: &str| -> u64 {
            let (_, rest) = uri.split_once(&format!("{name}=")).unwrap();
            rest.split('&').next().unwrap().parse().unwrap()
        };
        match self.manner {
            Manner::Brief => Box::pin(stream::empty()),
            Manner::Stalled | Manner::Silent => Box::pin(stream::pending()),
            Manner::Good => {
                let end = Instant::now() + Duration::from_secs(number("timeoutSeconds"));
                let of_services = uri.contains("/services");
                let state = (self.web.subscribe(), number("resourceVersion"));
                Box::pin(stream::unfold(state, move |(mut web, seen)| async move {
                    loop {
                        let now = *web.borrow_and_update();
                        if of_services && now.version > seen {
                            let line = format!(r#"{{"type":"MODIFIED","object":{}}}"#, now.object());
                            return Some((line, (web, now.version)));
                        }
                        tokio::select! {
                            changed = web.changed() => changed.ok()?,
                            () = sleep(BOOKMARK) => {
                                let metadata = format!(r#"{{"resourceVersion":"{}"}}"#, now.version);
                                let object = format!(r#"{{"kind":"Service","apiVersion":"v1","metadata":{metadata}}}"#);
                                let line = format!(r#"{{"type":"BOOKMARK","object":{object}}}"#);
                                return Some((line, (web, now.version)));
                            }
                            () = tokio::time::sleep_until(end) => return None,
                        }
                    }
                }))
            }
        }
    }
}

impl Web {
    fn object(self) -> String {
        let Self { version, annotation, node_port } = self;
        format!(
            r#"{{"metadata":{{"name":"web","namespace":"shop","resourceVersion":"{version}","annotations":
            {{"n":"{annotation}"}}}},"spec":{{"type":"NodePort","ports":[{{"port":80,"nodePort":{node_port}}}]}}}}"#
        )
        .replace('\n', "")
    }
}

fn node_port(objects: &Objects) -> u64 {
    let ports = &objects.services.values().next().unwrap().ports;
    ports[0].node_port.unwrap().number().into()
}

#[tokio::test(start_paused = true)]
async fn a_day_in_which_nothing_happens_is_one_list_and_a_watch_every_some_minutes() {
    let server = Server::new(Manner::Good);
    let mut watch = server.watch(false);
    assert_eq!(watch.next().await.problem, None);
    assert!(timeout(24 * HOUR, watch.next()).await.is_err());
    for resource in ["/services", "/endpointslices"] {
        let watches = server.count(&[resource, "watch=true"]);
        assert_eq!(server.count(&[resource]) - watches, 1);
        assert!((144..=288).contains(&watches), "{watches}");
    }
    server.change(|web| web.node_port = 30081);
    let begun = Instant::now();
    assert_eq!(node_port(&watch.next().await), 30081);
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_changes_and_does_not_matter_is_not_told() {
    let server = Server::new(Manner::Good);
    let mut watch = server.watch(false);
    watch.next().await;
    server.change(|web| web.annotation += 1);
    assert!(timeout(HOUR, watch.next()).await.is_err());
    server.change(|web| web.node_port = 30081);
    assert_eq!(node_port(&watch.next().await), 30081);
}

#[tokio::test(start_paused = true)]
async fn changes_that_come_together_are_told_together() {
    let server = Server::new(Manner::Good);
    let mut watch = server.watch(false);
    watch.next().await;
    let burst = async {
        for node_port in 30081..30085 {
            server.change(|web| web.node_port = node_port);
            sleep(Duration::from_millis(2)).await;
        }
    };
    let (told, ()) = tokio::join!(watch.next(), burst);
    assert_eq!(node_port(&told), 30084);
    assert!(timeout(HOUR, watch.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn next_can_be_dropped_at_any_time_and_nothing_is_lost() {
    let server = Server::new(Manner::Good);
    let mut watch = server.watch(false);
    watch.next().await;
    server.change(|web| web.node_port = 30081);
    let told = loop {
        if let Ok(told) = timeout(Duration::from_millis(1), watch.next()).await {
            break told;
        }
    };
    assert_eq!(node_port(&told), 30081);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_every_watch_at_once_is_not_asked_without_pause() {
    let server = Server::new(Manner::Brief);
    let mut watch = server.watch(false);
    watch.next().await;
    assert!(timeout(Duration::from_mins(10), watch.next()).await.is_err());
    let watches = server.count(&["/services", "watch=true"]);
    assert!((100..=250).contains(&watches), "{watches}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_does_not_end_in_time_is_given_up() {
    let server = Server::new(Manner::Stalled);
    let mut watch = server.watch(false);
    watch.next().await;
    assert!(timeout(24 * HOUR, watch.next()).await.is_err());
    assert!(server.count(&["/services", "watch=true"]) >= 130);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_a_problem_and_what_is_known_stays() {
    let server = Server::new(Manner::Silent);
    let mut watch = server.watch(false);
    assert_eq!(watch.next().await.problem, None);
    let begun = Instant::now();
    let told = watch.next().await;
    assert!(told.problem.unwrap().contains("no answer within 10 s"));
    assert_eq!(told.services.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(11));
    // The same again is no news, as long as it lasts.
    assert!(timeout(HOUR, watch.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn nodes_that_may_not_be_seen_are_asked_for_every_five_minutes() {
    let server = Server::new(Manner::Good);
    let mut watch = server.watch(true);
    let first = watch.next().await;
    assert_eq!((first.ready_nodes, first.problem), (None, None));
    assert!(timeout(HOUR, watch.next()).await.is_err());
    assert!((12..=13).contains(&server.count(&["/nodes"])));
}
