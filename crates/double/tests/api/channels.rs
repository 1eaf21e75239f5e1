//! Port-forwards in the channels of a WebSocket.

use portgate_double::{Config, Double, Fault, Requests, Resource, Transport, Transports, Verb};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::client::{Client, soon};
use crate::pod::{NAMESPACE, POD, echo, greet, reset, server};

/// A client's end of a WebSocket.
struct WebSocket {
    stream: BufReader<TlsStream<TcpStream>>,
}

/// A frame of the server: its opcode and payload.
type Frame = (u8, Vec<u8>);

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Asks for a port-forward: the status line, the head and what follows it.
async fn ask(client: &Client, query: &str, protocol: &str) -> (String, WebSocket) {
    let mut stream = BufReader::new(client.dial().await.unwrap());
    let request = format!(
        "GET /api/v1/namespaces/{NAMESPACE}/pods/{POD}/portforward{query} HTTP/1.1\r\nHost: double\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(soon(stream.read_line(&mut head)).await.unwrap(), 0, "{head}");
    }
    (head, WebSocket { stream })
}

impl WebSocket {
    async fn send(&mut self, opcode: u8, payload: &[u8]) {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = vec![0x80 | opcode, 0x80 | u8::try_from(payload.len()).unwrap()];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn receive(&mut self) -> Frame {
        let mut head = [0; 2];
        soon(self.stream.read_exact(&mut head)).await.unwrap();
        let length = match head[1] {
            126 => soon(self.stream.read_u16()).await.unwrap().into(),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        soon(self.stream.read_exact(&mut payload)).await.unwrap();
        (head[0] & 0x0f, payload)
    }

    /// The next frames, in the order of their payloads: different channels have no order among them.
    async fn sorted(&mut self, count: usize) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(self.receive().await);
        }
        frames.sort();
        frames
    }
}

const BINARY: u8 = 2;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

async fn double() -> (Double, Client) {
    let double = Double::start(Config::default()).await.unwrap();
    let client = Client::of(&double).await;
    (double, client)
}

#[tokio::test]
async fn two_ports_have_two_channels_each() {
    let (double, client) = double().await;
    let (first, second) = (server(echo).await, server(greet).await);
    double.serve(NAMESPACE, POD, 9999, first.address).await.unwrap();
    double.serve(NAMESPACE, POD, 80, second.address).await.unwrap();
    let (head, mut socket) = ask(&client, "?ports=9999&ports=80", "v4.channel.k8s.io").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("sec-websocket-protocol: v4.channel.k8s.io\r\n"), "{head}");
    // The example of RFC 6455.
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");

    let [nine, ten] = 9999_u16.to_le_bytes();
    let begin = [vec![0, nine, ten], vec![1, nine, ten], vec![2, 80, 0], [&[2][..], b"hello"].concat(), vec![3, 80, 0]];
    let begin: Vec<Frame> = begin.into_iter().map(|payload| (BINARY, payload)).collect();
    assert_eq!(socket.sorted(5).await, begin);
    socket.send(BINARY, &[&[0][..], b"ping"].concat()).await;
    assert_eq!(socket.receive().await, (BINARY, [&[0][..], b"ping"].concat()));
    socket.send(9, b"?").await;
    assert_eq!(socket.receive().await, (10, b"?".to_vec()));

    let counters = double.counters().await.unwrap();
    assert_eq!((counters.sessions, counters.open_sessions, counters.streams), (1, 1, 2));
    assert_eq!(counters.requests(Verb::Get, Resource::PortForward), 1);
    socket.send(CLOSE, &[]).await;
    assert_eq!(socket.receive().await.0, CLOSE);
    assert_eq!(soon(socket.stream.read_to_end(&mut Vec::new())).await.unwrap(), 0);
}

#[tokio::test]
async fn channels_can_be_in_base64() {
    let (double, client) = double().await;
    let echo = server(echo).await;
    double.serve(NAMESPACE, POD, 9999, echo.address).await.unwrap();
    let (_, mut socket) = ask(&client, "?ports=9999", "v4.base64.channel.k8s.io").await;
    assert_eq!(socket.sorted(2).await, [(TEXT, b"0Dyc=".to_vec()), (TEXT, b"1Dyc=".to_vec())]);
    socket.send(TEXT, b"0cGluZw==").await;
    assert_eq!(socket.receive().await, (TEXT, b"0cGluZw==".to_vec()));
}

#[tokio::test]
async fn a_port_that_nothing_listens_on_is_told_and_the_connection_closed() {
    let (_double, client) = double().await;
    let (_, mut socket) = ask(&client, "?ports=7777", "v4.channel.k8s.io").await;
    socket.sorted(2).await;
    let (_, message) = socket.receive().await;
    assert_eq!(message[0], 1);
    let message = text(&message[1..]);
    assert!(message.starts_with("error forwarding port 7777 to pod "), "{message}");
    assert!(message.contains("connect: connection refused"), "{message}");
    assert_eq!(socket.receive().await, (CLOSE, vec![3, 0xe8]));
}

#[tokio::test]
async fn a_connection_that_the_pod_resets_is_told() {
    let (double, client) = double().await;
    let server = server(reset).await;
    double.serve(NAMESPACE, POD, 9999, server.address).await.unwrap();
    let (_, mut socket) = ask(&client, "?ports=9999", "v4.channel.k8s.io").await;
    socket.sorted(2).await;
    socket.send(BINARY, &[0, b'a', b'b']).await;
    let message = text(&socket.receive().await.1[1..]);
    assert!(message.ends_with("read: connection reset by peer"), "{message}");
}

#[tokio::test]
async fn what_a_kubelet_does_not_take_is_refused() {
    let (double, client) = double().await;
    for (query, protocol, code, words) in [
        ("", "v4.channel.k8s.io", "400", "query parameter \"port\" is required"),
        ("?ports=0", "v4.channel.k8s.io", "400", "must be > 0"),
        ("?ports=80", "portforward.k8s.io", "403", "requested protocol(s) are not supported: [portforward.k8s.io]"),
    ] {
        let (head, mut refused) = ask(&client, query, protocol).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {code}")), "{head}");
        let mut line = String::new();
        soon(refused.stream.read_line(&mut line)).await.unwrap();
        assert!(line.contains(words), "{line}");
    }
    let (code, status) = client.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}/portforward")).await;
    assert_eq!((code, status["message"].as_str()), (400, Some("Upgrade request required")));
    let (code, status) = client.get(&format!("/api/v1/namespaces/{NAMESPACE}/pods/gone/portforward")).await;
    assert_eq!((code, status["message"].as_str()), (404, Some("pods \"gone\" not found")));
    assert_eq!(double.counters().await.unwrap().sessions, 0);
}

#[tokio::test]
async fn transports_that_are_not_served_are_refused_each_in_its_way() {
    let (double, client) = double().await;
    for (transport, code) in [(Transport::BadRequest, 400), (Transport::Forbidden, 403), (Transport::Stripped, 400)] {
        let transports = Transports { tunnel: transport, spdy: transport, channels: transport };
        double.fault(Fault::Transports(transports)).await.unwrap();
        for protocol in ["SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"] {
            let (head, _) = ask(&client, "?ports=80", protocol).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {code} ")), "{transport:?}: {head}");
        }
    }
}

#[tokio::test]
async fn a_websocket_needs_two_rights() {
    let (double, client) = double().await;
    let requests = Requests::to(Verb::Create, Resource::PortForward);
    double.fault(Fault::Forbid { requests }).await.unwrap();
    let (head, mut refused) = ask(&client, "?ports=80", "v4.channel.k8s.io").await;
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let mut line = String::new();
    soon(refused.stream.read_line(&mut line)).await.unwrap();
    let status: serde_json::Value = serde_json::from_str(&line).unwrap();
    let words = format!(
        "pods \"{POD}\" is forbidden: User \"dev\" cannot create resource \"pods/portforward\" in API group \"\" in \
         the namespace \"{NAMESPACE}\""
    );
    assert_eq!(status["message"], words);
}

#[tokio::test]
async fn a_pod_that_is_killed_takes_its_sessions_along() {
    let (double, client) = double().await;
    let echo = server(echo).await;
    double.serve(NAMESPACE, POD, 9999, echo.address).await.unwrap();
    let (_, mut socket) = ask(&client, "?ports=9999", "v4.channel.k8s.io").await;
    socket.sorted(2).await;
    let mut kept = client.keep().await;
    double.fault(Fault::KillPod { namespace: NAMESPACE.to_owned(), pod: POD.to_owned() }).await.unwrap();
    assert!(soon(socket.stream.read_u8()).await.is_err());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}");
    assert_eq!(kept.get(&path).await.unwrap().0, 404);
}
