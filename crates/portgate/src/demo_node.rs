//! The node of a demo: what a Service behind a NodePort would be, in this same executable.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use portgate_core::port::MAX_DATAGRAM;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// The longest head of an HTTP request that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// The most headers of an HTTP request that are read.
const MAX_HEADERS: usize = 64;

/// The ports of a demo's node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ports {
    /// Where it listens.
    pub(crate) address: IpAddr,
    /// TCP echo.
    pub(crate) echo_tcp: u16,
    /// UDP echo.
    pub(crate) echo_udp: u16,
    /// HTTP.
    pub(crate) http: u16,
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.address, self.echo_tcp, self.echo_udp, self.http)
    }
}

impl FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',');
        let address = parts.next().and_then(|part| part.parse().ok());
        let mut port = || parts.next().and_then(|part| part.parse().ok());
        match (address, port(), port(), port()) {
            (Some(address), Some(echo_tcp), Some(echo_udp), Some(http)) => {
                Ok(Self { address, echo_tcp, echo_udp, http })
            }
            _ => Err("expected ADDRESS,ECHO-TCP,ECHO-UDP,HTTP"),
        }
    }
}

/// Serves until a socket fails or the process is told to end.
pub(crate) async fn serve(ports: Ports) -> io::Result<()> {
    let at = |port| SocketAddr::new(ports.address, port);
    let echo_tcp = TcpListener::bind(at(ports.echo_tcp)).await?;
    let echo_udp = UdpSocket::bind(at(ports.echo_udp)).await?;
    let http = TcpListener::bind(at(ports.http)).await?;
    tokio::try_join!(accept(echo_tcp, echo), accept(http, answer), echo_datagrams(echo_udp)).map(drop)
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(serve(accepted?.0));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Sends back what comes in, and half-closes when the client does.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

async fn echo_datagrams(socket: UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await?;
        // A client that is gone is no reason to end.
        let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), client).await;
    }
}

/// Answers one request with what was asked, then closes.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let response = loop {
        if let Some(body) = describe(&head) {
            break respond("200 OK", &body);
        }
        if head.len() >= MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            break respond("400 Bad Request", "this is no HTTP request\n");
        }
    };
    stream.write_all(response.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The body of the answer; `None` while the request's head is not complete.
fn describe(head: &[u8]) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let complete = request.parse(head).ok()?.is_complete();
    let (method, path) = (request.method.filter(|_| complete)?, request.path?);
    let named = |name: &str| request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let host = named("host").map_or_else(String::new, |header| String::from_utf8_lossy(header.value).into_owned());
    Some(format!("portgate demo\nmethod: {method}\npath: {path}\nhost: {host}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_written_as_they_are_read() {
        let ports: Ports = "127.0.0.1,1,2,3".parse().unwrap();
        assert_eq!((ports.echo_tcp, ports.echo_udp, ports.http), (1, 2, 3));
        assert_eq!(ports.to_string(), "127.0.0.1,1,2,3");
        assert!("127.0.0.1,1,2".parse::<Ports>().is_err());
    }

    #[test]
    fn the_answer_repeats_what_was_asked() {
        let request = b"GET /admin/user HTTP/1.1\r\nHost: dev.admin.test.com\r\n\r\n";
        let body = describe(request).unwrap();
        assert_eq!(body, "portgate demo\nmethod: GET\npath: /admin/user\nhost: dev.admin.test.com\n");
        assert_eq!(describe(&request[..request.len() - 1]), None);
    }
}
