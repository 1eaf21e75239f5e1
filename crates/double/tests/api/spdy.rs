//! Port-forwards over SPDY.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use portgate_double::{Config, Double, Fault, Transport, Transports, Verb};
use portgate_spdy::{Event, Headers, Limits, Session, Status, StreamId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::client::TlsStream;

use crate::client::{Client, soon};
use crate::pod::{NAMESPACE, POD, echo, greet, reset, server};

/// More than all sockets and buffers on the way hold.
const FLOOD: usize = 64 << 20;

/// A client's end of a port-forward.
struct Forward {
    stream: TlsStream<TcpStream>,
    session: Session,
    input: BytesMut,
    requests: u32,
}

/// Asks for a port-forward: the head of the response, and the connection.
async fn ask(client: &Client, method: &str, headers: &str) -> (String, TlsStream<TcpStream>) {
    let mut stream = client.dial().await.unwrap();
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}/portforward");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: double\r\nContent-Length: 0\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap().into());
    }
    (head, stream)
}

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\n";

fn headers(kind: &str, port: u16, request: u32) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in [("streamtype", kind), ("port", &port.to_string()), ("requestid", &request.to_string())] {
        headers.add(name, value);
    }
    headers
}

impl Forward {
    async fn to(client: &Client) -> Self {
        let (head, stream) = ask(client, "POST", UPGRADE).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { stream, session: Session::client(Limits::default()), input: BytesMut::new(), requests: 0 }
    }

    /// Opens a connection to a port: its error and its data stream.
    async fn open(&mut self, port: u16) -> (StreamId, StreamId) {
        self.requests += 1;
        let error = self.session.open(&headers("error", port, self.requests), true).unwrap();
        let data = self.session.open(&headers("data", port, self.requests), false).unwrap();
        self.flush().await;
        (error, data)
    }

    async fn send(&mut self, stream: StreamId, bytes: impl Into<Bytes>, fin: bool) {
        self.session.send(stream, bytes.into(), fin).unwrap();
        self.flush().await;
    }

    async fn flush(&mut self) {
        while let Some(piece) = self.session.output().pop() {
            self.stream.write_all(&piece).await.unwrap();
        }
        self.stream.flush().await.unwrap();
    }

    /// The next thing that happens to a stream, replies excepted.
    async fn event(&mut self) -> Event {
        loop {
            match self.session.receive(&mut self.input).unwrap() {
                Some(Event::Replied { .. }) => {}
                Some(event) => return event,
                None => assert_ne!(soon(self.stream.read_buf(&mut self.input)).await.unwrap(), 0),
            }
        }
    }

    /// All that comes on a stream up to its end. Nothing may come on others.
    async fn all(&mut self, wanted: StreamId) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.event().await {
                Event::Data { stream, bytes, fin } if stream == wanted => {
                    all.extend_from_slice(&bytes);
                    if fin {
                        return all;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

async fn double() -> (Double, Client) {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    (double, client)
}

/// Waits until a number grows no more, since everything on the way is full.
async fn stalled(number: &AtomicUsize) -> usize {
    const TURNS: usize = 10_000;
    let mut seen = usize::MAX;
    loop {
        let now = number.load(Ordering::Relaxed);
        if now == seen {
            return now;
        }
        seen = now;
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn either_side_may_end_first() {
    let (double, client) = double().await;
    let (echo, greet) = (server(echo).await, server(greet).await);
    double.serve(NAMESPACE, POD, 7, echo.address).await.unwrap();
    double.serve(NAMESPACE, POD, 25, greet.address).await.unwrap();
    let mut forward = Forward::to(&client).await;

    let (error, data) = forward.open(7).await;
    forward.send(data, "ping", true).await;
    assert_eq!(forward.all(data).await, b"ping");
    assert_eq!(forward.all(error).await, b"");

    let (error, data) = forward.open(25).await;
    assert_eq!(forward.all(data).await, b"hello");
    forward.send(data, "thanks", true).await;
    assert_eq!(forward.all(error).await, b"");
    assert!(forward.session.is_idle());
    let counters = double.counters().await.unwrap();
    assert_eq!((counters.sessions, counters.streams), (1, 2));
    assert_eq!(counters.requests(Verb::Create, portgate_double::Resource::PortForward), 1);
}

#[tokio::test]
async fn many_connections_share_a_session_and_leave_it_as_it_was() {
    let (double, client) = double().await;
    let echo = server(echo).await;
    double.serve(NAMESPACE, POD, 7, echo.address).await.unwrap();
    let mut forward = Forward::to(&client).await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(forward.open(7).await);
    }
    for (number, (_, data)) in open.iter().enumerate() {
        forward.send(*data, number.to_string(), true).await;
    }
    while !forward.session.is_idle() {
        if let Event::Data { stream, bytes, .. } = forward.event().await
            && !bytes.is_empty()
        {
            let number = open.iter().position(|(_, data)| *data == stream).unwrap();
            assert_eq!(bytes, number.to_string());
        }
    }
    assert_eq!(double.counters().await.unwrap().streams, 50);
}

#[tokio::test]
async fn a_connection_that_the_pod_resets_is_told_and_the_session_goes_on() {
    let (double, client) = double().await;
    let (reset, echo) = (server(reset).await, server(echo).await);
    double.serve(NAMESPACE, POD, 9999, reset.address).await.unwrap();
    double.serve(NAMESPACE, POD, 7, echo.address).await.unwrap();
    let mut forward = Forward::to(&client).await;
    let (error, data) = forward.open(9999).await;
    forward.send(data, "ab", false).await;
    assert_eq!(forward.all(data).await, b"");
    let message = String::from_utf8(forward.all(error).await).unwrap();
    assert!(message.starts_with("error forwarding port 9999 to pod "), "{message}");
    assert!(message.ends_with("read: connection reset by peer"), "{message}");

    let (_, data) = forward.open(7).await;
    forward.send(data, "ping", true).await;
    assert_eq!(forward.all(data).await, b"ping");
}

#[tokio::test]
async fn a_stream_that_the_client_resets_ends_in_the_pod() {
    let (double, client) = double().await;
    let (ended, mut ends) = mpsc::channel(1);
    let server = server(move |mut stream: TcpStream| {
        let ended = ended.clone();
        async move {
            stream.write_all(b"hello").await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
            ended.send(()).await.unwrap();
        }
    })
    .await;
    double.serve(NAMESPACE, POD, 25, server.address).await.unwrap();
    let mut forward = Forward::to(&client).await;
    let (error, data) = forward.open(25).await;
    assert!(matches!(forward.event().await, Event::Data { bytes, .. } if bytes == "hello"));
    forward.session.reset(data, Status::Cancel);
    forward.flush().await;
    soon(ends.recv()).await.unwrap();
    assert_eq!(forward.all(error).await, b"");
}

#[tokio::test]
async fn a_pod_is_not_read_while_the_client_does_not_read() {
    let (double, client) = double().await;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let server = server(move |mut stream: TcpStream| {
        let written = Arc::clone(&count);
        async move {
            let piece = vec![7; 64 * 1024];
            for _ in 0..FLOOD / piece.len() {
                stream.write_all(&piece).await.unwrap();
                written.fetch_add(piece.len(), Ordering::Relaxed);
            }
        }
    })
    .await;
    double.serve(NAMESPACE, POD, 19, server.address).await.unwrap();
    let mut forward = Forward::to(&client).await;
    let (_, data) = forward.open(19).await;
    assert!(matches!(forward.event().await, Event::Data { .. }));
    let stuck = stalled(&written).await;
    assert!(stuck < FLOOD, "{stuck} bytes were written, and nobody read them");
    let begun = forward.input.len();
    assert!(forward.all(data).await.len() > FLOOD - 64 * 1024 - begun);
}

#[tokio::test]
async fn a_client_is_not_read_while_the_pod_does_not_read() {
    let (double, client) = double().await;
    let (read, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let (count, start) = (Arc::clone(&read), Arc::clone(&go));
    let server = server(move |mut stream: TcpStream| {
        let (read, go) = (Arc::clone(&count), Arc::clone(&start));
        async move {
            go.notified().await;
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                read.fetch_add(length, Ordering::Relaxed);
            }
        }
    })
    .await;
    double.serve(NAMESPACE, POD, 9, server.address).await.unwrap();
    let mut forward = Forward::to(&client).await;
    let (error, data) = forward.open(9).await;
    let given = AtomicUsize::new(0);
    let send = async {
        let piece = Bytes::from(vec![7; 64 * 1024]);
        for _ in 0..FLOOD / piece.len() {
            forward.send(data, piece.clone(), false).await;
            given.fetch_add(piece.len(), Ordering::Relaxed);
        }
        forward.send(data, "", true).await;
        assert_eq!(forward.all(data).await, b"");
        assert_eq!(forward.all(error).await, b"");
    };
    let watch = async {
        let stuck = stalled(&given).await;
        assert!(stuck < FLOOD, "{stuck} bytes were sent, and nobody read them");
        go.notify_one();
    };
    tokio::join!(send, watch);
    assert_eq!(read.load(Ordering::Relaxed), FLOOD);
}

#[tokio::test]
async fn a_stream_that_does_not_say_what_it_is_for_is_rejected() {
    let (_double, client) = double().await;
    let mut forward = Forward::to(&client).await;
    for (kind, port) in [("data", 0), ("other", 80)] {
        let stream = forward.session.open(&headers(kind, port, 1), false).unwrap();
        forward.flush().await;
        assert_eq!(forward.event().await, Event::Reset { stream, status: Status::Cancel });
    }
}

#[tokio::test]
async fn an_upgrade_is_granted_to_either_method_and_refused_as_configured() {
    let (double, client) = double().await;
    assert!(ask(&client, "GET", UPGRADE).await.0.starts_with("HTTP/1.1 101 "));
    let other = UPGRADE.replace("portforward.k8s.io", "v9.portforward.k8s.io");
    let (head, _) = ask(&client, "POST", &other).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
    assert!(head.to_lowercase().contains("x-accepted-stream-protocol-versions: portforward.k8s.io\r\n"), "{head}");
    assert!(ask(&client, "POST", "").await.0.starts_with("HTTP/1.1 400 "));
    for (spdy, code) in [(Transport::BadRequest, 400), (Transport::Forbidden, 403), (Transport::Stripped, 400)] {
        double.fault(Fault::Transports(Transports { spdy, ..Transports::default() })).await.unwrap();
        let (head, _) = ask(&client, "POST", UPGRADE).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{head}");
    }
}

#[tokio::test]
async fn sessions_can_be_killed_without_harm_to_requests() {
    let (double, client) = double().await;
    let mut kept = client.keep().await;
    let mut forward = Forward::to(&client).await;
    assert_eq!(double.counters().await.unwrap().open_sessions, 1);
    double.fault(Fault::KillPortForwards).await.unwrap();
    assert!(soon(forward.stream.read_u8()).await.is_err());
    assert_eq!(kept.get("/version").await.unwrap().0, 200);
    assert_eq!(double.counters().await.unwrap().open_sessions, 0);
}
