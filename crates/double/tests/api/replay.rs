//! What kubectl once said, said to the double: it answers what the real server answered.

use std::collections::BTreeMap;

use bytes::{Buf as _, BytesMut};
use portgate_double::{Config, Double};
use portgate_spdy::{Event, Headers, Limits, Session, Status, StreamId};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::{Client, soon};
use crate::pod::{NAMESPACE, POD, echo, server};

/// The streams of a recorded session: 1 to 19.
const STREAMS: u32 = 10;

/// The stream that carries the recorded HTTP response.
const HTTP: u32 = 7;

/// The recorded pod's sandbox and its network.
const SANDBOX: &str = "a87c296aaf39acc890e7bb393df72489c8442549d122165f8fb1adc7d655080a";
const NETWORK: &str = "cni-05a70988-9afb-c08d-a7c3-bf0f52a7bec8";

/// Who said something, and what.
type Line = (bool, Vec<u8>);

/// All that a server has said on a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    reply: Option<Headers>,
    data: Vec<u8>,
    fin: bool,
    reset: Option<Status>,
}

/// All that a server has said.
struct Server {
    websocket: bool,
    /// The head of the response.
    head: BytesMut,
    /// A WebSocket's frames that are not complete.
    frames: BytesMut,
    input: BytesMut,
    /// A client's end, to read the server's frames with.
    session: Session,
    said: BTreeMap<u32, Said>,
}

impl Server {
    fn new(websocket: bool) -> Self {
        let mut session = Session::client(Limits::default());
        for _ in 0..STREAMS {
            session.open(&Headers::new(), false).unwrap();
        }
        let empty = BytesMut::new;
        Self { websocket, head: empty(), frames: empty(), input: empty(), session, said: BTreeMap::new() }
    }

    fn says(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        while !self.head.ends_with(b"\r\n\r\n") && bytes.has_remaining() {
            self.head.extend_from_slice(&[bytes.get_u8()]);
        }
        if self.websocket {
            self.frames.extend_from_slice(bytes);
            while let Some(payload) = frame(&mut self.frames) {
                self.input.extend_from_slice(&payload);
            }
        } else {
            self.input.extend_from_slice(bytes);
        }
        while let Some(event) = self.session.receive(&mut self.input).unwrap() {
            match event {
                Event::Replied { stream, headers, fin } => {
                    let said = self.on(stream);
                    assert_eq!((said.reply.replace(headers), fin), (None, false));
                }
                Event::Data { stream, bytes, fin } => {
                    let said = self.on(stream);
                    said.data.extend_from_slice(&bytes);
                    said.fin |= fin;
                }
                Event::Reset { stream, status } => self.on(stream).reset = Some(status),
                other => panic!("{other:?}"),
            }
        }
    }

    fn on(&mut self, stream: StreamId) -> &mut Said {
        self.said.entry(stream.number()).or_default()
    }

    /// Whether this one has said at least as much as another.
    fn has_said(&self, other: &Self) -> bool {
        self.head.ends_with(b"\r\n\r\n")
            && other.said.iter().all(|(stream, other)| {
                self.said.get(stream).is_some_and(|said| {
                    said.reply.is_some() >= other.reply.is_some()
                        && said.data.len() >= other.data.len()
                        && said.fin >= other.fin
                })
            })
    }

    /// The lines of the head, but for the time that Rust's server adds.
    fn head(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.head).to_lowercase();
        let mut lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("date:"));
        lines.sort();
        lines
    }
}

/// The payload of a WebSocket's next frame, which is binary and not masked.
fn frame(bytes: &mut BytesMut) -> Option<BytesMut> {
    let (head, length) = match *bytes.get(..2)? {
        [0x82, 126] => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        [0x82, length @ ..126] => (2, usize::from(length)),
        // The answer to a close, which is the last that comes: kubectl did not wait for it.
        [0x88, _] => return None,
        _ => panic!("{bytes:x?}"),
    };
    if bytes.len() < head + length {
        return None;
    }
    bytes.advance(head);
    Some(bytes.split_to(length))
}

fn lines(record: &str) -> Vec<Line> {
    let parse = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let hex = line["hex"].as_str().unwrap();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        (line["dir"] == "client", bytes.collect())
    };
    record.lines().map(parse).collect()
}

/// A double whose recorded pod has an echo server and an HTTP server; nothing listens on 7777.
async fn replay(record: &str, websocket: bool) {
    let lines = lines(record);
    let mut recorded = Server::new(websocket);
    lines.iter().filter(|(client, _)| !client).for_each(|(_, bytes)| recorded.says(bytes));
    let page = recorded.said[&HTTP].data.clone();
    assert!(page.starts_with(b"HTTP/1.1 200 OK"));

    let double = Double::start(Config::default()).await.unwrap();
    let (echo, http) = (server(echo).await, server(move |stream| answer(stream, page.clone())).await);
    double.serve(NAMESPACE, POD, 9999, echo.address).await.unwrap();
    double.serve(NAMESPACE, POD, 80, http.address).await.unwrap();
    let mut stream = Client::of(&double).await.dial().await.unwrap();

    let (mut so_far, mut doubled) = (Server::new(websocket), Server::new(websocket));
    for (client, bytes) in &lines {
        if !client {
            so_far.says(bytes);
            continue;
        }
        while !doubled.has_said(&so_far) && !so_far.head.is_empty() {
            hear(&mut stream, &mut doubled).await;
        }
        stream.write_all(bytes).await.unwrap();
    }
    while !doubled.has_said(&recorded) {
        hear(&mut stream, &mut doubled).await;
    }
    stream.shutdown().await.unwrap();
    while hear(&mut stream, &mut doubled).await > 0 {}

    assert_eq!(doubled.head(), recorded.head());
    assert_eq!(doubled.said.len(), recorded.said.len());
    for (number, said) in &doubled.said {
        let expected = &recorded.said[number];
        let text = String::from_utf8_lossy(&said.data).into_owned();
        let words = said_of(&String::from_utf8_lossy(&expected.data), &text);
        assert_eq!(text, words, "stream {number}");
        assert_eq!(Said { data: Vec::new(), ..said.clone() }, Said { data: Vec::new(), ..expected.clone() });
    }
}

/// The recorded words, of the sandbox and network that the double speaks of.
fn said_of(recorded: &str, said: &str) -> String {
    let part = |after: &str, end: char| said.split_once(after).and_then(|(_, rest)| rest.split(end).next());
    match (part("to pod ", ','), part("/netns/", '"')) {
        (Some(sandbox), Some(network)) => recorded.replace(SANDBOX, sandbox).replace(NETWORK, network),
        _ => recorded.to_owned(),
    }
}

async fn hear(stream: &mut TlsStream<TcpStream>, server: &mut Server) -> usize {
    let mut buffer = vec![0; 4096];
    let length = soon(stream.read(&mut buffer)).await.unwrap();
    server.says(&buffer[..length]);
    length
}

/// Answers one request with the page, and waits for the client to end.
async fn answer(mut stream: TcpStream, page: Vec<u8>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(&page).await.unwrap();
    let _ = stream.read_to_end(&mut request).await;
}

#[tokio::test]
async fn the_recorded_session_over_spdy_is_answered_as_it_was() {
    replay(include_str!("../../fixtures/upgrade-spdy.jsonl"), false).await;
}

#[tokio::test]
async fn the_recorded_session_over_a_websocket_is_answered_as_it_was() {
    replay(include_str!("../../fixtures/websocket-spdy.jsonl"), true).await;
}
