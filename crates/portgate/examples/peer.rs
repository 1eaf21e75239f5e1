//! A node for the end-to-end tests: the services that they talk to, in a container of their own.
//!
//! `peer` serves until SIGTERM; `peer idle` lives as long, and listens nowhere; `peer kubernetes` is the API server, too:
//! its double listens on port 6443 and is controlled on port 6480.
//!
//! | port | protocol | service |
//! | --- | --- | --- |
//! | 30999 | TCP | echo, half-closes when the client does |
//! | 30998 | UDP | echo |
//! | 30022 | TCP | greets first, then echoes |
//! | 30100 | TCP | sends as many pseudo-random bytes as the client's first line says, then closes |
//! | 30053 | UDP | answers `N` with the N datagrams `1/N` to `N/N` |
//! | 9999 | TCP and UDP | echo: what Services and pods lead to by their own addresses |
//! | 30379 | TCP | echo, another one |
//! | 30500, 30501 | TCP and UDP | echo |
//! | 30080 | TCP | answers an HTTP request with its path and its host, in headers |
//! | 30514 | UDP | receives, and never answers |

use std::io;
use std::net::Ipv4Addr;

use portgate_double::{Config, Double};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

/// What port 30022 says first.
const GREETING: &[u8] = b"SSH-2.0-peer\r\n";

#[tokio::main]
async fn main() -> io::Result<()> {
    raise_descriptor_limit();
    let part = std::env::args().nth(1).unwrap_or_default();
    // The first process of a container is ended by no signal but those that it handles.
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        served = services(), if part != "idle" => served,
        failed = kubernetes(), if part == "kubernetes" => failed,
        _ = terminate.recv() => Ok(()),
    }
}

/// Serves the Kubernetes API.
async fn kubernetes() -> io::Result<()> {
    let config = Config {
        listen: (Ipv4Addr::UNSPECIFIED, 6443).into(),
        control: Some((Ipv4Addr::UNSPECIFIED, 6480).into()),
        names: ["kubernetes", "localhost"].map(str::to_owned).into(),
        ..Config::default()
    };
    let _double = Double::start(config).await.map_err(io::Error::other)?;
    std::future::pending().await
}

async fn services() -> io::Result<()> {
    tokio::try_join!(
        serve(30999, echo),
        serve(9999, echo),
        echo_datagrams(9999),
        serve(30379, echo),
        serve(30022, greet),
        serve(30100, download),
        datagrams(30998, |text| vec![text.to_vec()]),
        datagrams(30053, count),
        serve(30500, echo),
        serve(30501, echo),
        datagrams(30500, |text| vec![text.to_vec()]),
        datagrams(30501, |text| vec![text.to_vec()]),
        serve(30080, answer_http),
        datagrams(30514, |_| Vec::new()),
    )?;
    Ok(())
}

fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

async fn serve<F>(port: u16, service: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(service(stream));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

async fn greet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(GREETING).await?;
    echo(stream).await
}

async fn download(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let mut left: u64 = line.trim().parse().map_err(io::Error::other)?;
    let mut state = 1u64;
    let mut chunk = vec![0; 64 << 10];
    while left > 0 {
        for byte in &mut chunk {
            // Knuth's constants: a sequence that the test can follow.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = state.to_be_bytes()[0];
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(chunk.len());
        stream.write_all(chunk.get(..length).unwrap_or_default()).await?;
        left -= length as u64;
    }
    stream.shutdown().await
}

async fn answer_http(stream: TcpStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut path, mut host) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        let length = stream.read_line(&mut line).await?;
        if let Some(rest) = line.strip_prefix("GET ") {
            path = rest.split(' ').next().unwrap_or_default().to_owned();
        } else if let Some(rest) = line.strip_prefix("Host: ") {
            host = rest.trim().to_owned();
        } else if length == 0 || line == "\r\n" {
            break;
        }
    }
    let answer = format!("HTTP/1.1 200 OK\r\nX-Path: {path}\r\nX-Host: {host}\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// Answers each datagram with those that `reply` makes of it.
async fn datagrams(port: u16, reply: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        for datagram in reply(buffer.get(..length).unwrap_or_default()) {
            let _ = socket.send_to(&datagram, client).await;
        }
    }
}

/// Sends each datagram back from the address that it was sent to: of Services and pods a node has several.
async fn echo_datagrams(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
    let state = UdpSocketState::new((&socket).into())?;
    let mut buffer = vec![0; 65_535];
    loop {
        let mut meta = [RecvMeta::default()];
        socket.readable().await?;
        let received = socket.try_io(Interest::READABLE, || {
            state.recv((&socket).into(), &mut [io::IoSliceMut::new(&mut buffer)], &mut meta)
        });
        if received.is_err() {
            continue;
        }
        let [RecvMeta { addr, len, stride, dst_ip, .. }] = meta;
        // The kernel may have joined several datagrams of one client.
        for contents in buffer.get(..len).unwrap_or_default().chunks(stride.max(1)) {
            let transmit = Transmit { destination: addr, ecn: None, contents, segment_size: None, src_ip: dst_ip };
            socket.writable().await?;
            let _ = socket.try_io(Interest::WRITABLE, || state.try_send((&socket).into(), &transmit));
        }
    }
}

fn count(text: &[u8]) -> Vec<Vec<u8>> {
    let replies: u32 = String::from_utf8_lossy(text).trim().parse().unwrap_or(0);
    (1..=replies).map(|number| format!("{number}/{replies}").into_bytes()).collect()
}
