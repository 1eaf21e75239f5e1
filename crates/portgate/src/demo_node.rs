//! The node of a demo: what a Service behind a NodePort would be, in this same executable.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// The largest UDP payload over IPv4, in bytes.
const MAX_DATAGRAM: usize = 65_507;

/// The longest head of an HTTP request that is read, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// The most headers of an HTTP request that are read.
const MAX_HEADERS: usize = 64;

/// Serves until a socket fails or the process is told to end.
pub(crate) async fn serve(echo_tcp: SocketAddr, echo_udp: SocketAddr, http: SocketAddr) -> io::Result<()> {
    let echo_tcp = TcpListener::bind(echo_tcp).await?;
    let echo_udp = UdpSocket::bind(echo_udp).await?;
    let http = TcpListener::bind(http).await?;
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
    fn the_answer_repeats_what_was_asked() {
        let request = b"GET /admin/user HTTP/1.1\r\nHost: dev.admin.test.com\r\n\r\n";
        let body = describe(request).unwrap();
        assert_eq!(body, "portgate demo\nmethod: GET\npath: /admin/user\nhost: dev.admin.test.com\n");
        assert_eq!(describe(&request[..request.len() - 1]), None);
    }
}
