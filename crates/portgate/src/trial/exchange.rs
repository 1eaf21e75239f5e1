//! What is said to a target, and what is made of its answer.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// The most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// The most headers that are read of an HTTP response.
const MAX_HEADERS: usize = 100;

/// What is said, and what makes the answer a good one.
#[derive(Clone, Debug)]
pub(crate) enum Exchange {
    /// A text; the answer must contain `expect`.
    Text { send: String, expect: Option<String> },
    /// An HTTP request. Any response is a good one: the way to the server is proven.
    Http { path: String, host: Option<String> },
}

impl Exchange {
    /// What is sent in a datagram.
    pub(crate) fn payload(&self) -> &[u8] {
        match self {
            Self::Text { send, .. } => send.as_bytes(),
            Self::Http { .. } => b"\n",
        }
    }

    /// Speaks over a connection. Returns the text of the answer: for HTTP its status line and headers.
    /// Once the time is up, what has come by then is the answer.
    pub(super) async fn over(
        &self,
        mut stream: TcpStream,
        address: SocketAddr,
        deadline: Instant,
    ) -> io::Result<String> {
        match self {
            Self::Text { send, .. } => stream.write_all(send.as_bytes()).await?,
            Self::Http { path, host } => {
                stream.write_all(request(path, host.as_deref(), address.port()).as_bytes()).await?;
            }
        }
        let mut answer = Vec::new();
        loop {
            let Ok(read) = timeout_at(deadline, stream.read_buf(&mut answer)).await else {
                return if answer.is_empty() {
                    Err(io::ErrorKind::TimedOut.into())
                } else {
                    self.check(String::from_utf8_lossy(&answer).into_owned())
                };
            };
            let read = read?;
            if let Some(text) = self.complete(&answer)? {
                return Ok(text);
            }
            if read == 0 || answer.len() >= MAX_ANSWER {
                return self.check(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }

    /// The answer, once there is enough of it.
    fn complete(&self, answer: &[u8]) -> io::Result<Option<String>> {
        match self {
            Self::Text { expect, .. } => {
                let text = String::from_utf8_lossy(answer);
                let enough = !answer.is_empty() && expect.as_ref().is_none_or(|expect| text.contains(expect));
                Ok(enough.then(|| text.into_owned()))
            }
            Self::Http { .. } => {
                let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
                let parsed = httparse::Response::new(&mut headers).parse(answer);
                match parsed.map_err(|error| io::Error::other(format!("this is no HTTP: {error}")))? {
                    httparse::Status::Partial => Ok(None),
                    httparse::Status::Complete(length) => {
                        let head = answer.get(..length).unwrap_or_default();
                        Ok(Some(String::from_utf8_lossy(head).trim_end().to_owned()))
                    }
                }
            }
        }
    }

    /// The answer as it is; an error unless it is what was expected.
    pub(super) fn check(&self, answer: String) -> io::Result<String> {
        match self {
            Self::Text { expect: Some(expect), .. } if !answer.contains(expect) => {
                Err(io::Error::other(format!("the answer does not contain {expect:?}, it is {answer:?}")))
            }
            Self::Text { .. } if answer.is_empty() => {
                Err(io::Error::other("the connection was closed without an answer"))
            }
            Self::Http { .. } => Err(io::Error::other("the connection was closed before the response was complete")),
            Self::Text { .. } => Ok(answer),
        }
    }
}

/// The request that `curl http://localhost:PORT/PATH` would make.
fn request(path: &str, host: Option<&str>, port: u16) -> String {
    let host = host.map_or_else(|| format!("localhost:{port}"), str::to_owned);
    let slash = if path.starts_with('/') { "" } else { "/" };
    let agent = concat!("portgate/", env!("CARGO_PKG_VERSION"));
    format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(expect: Option<&str>) -> Exchange {
        Exchange::Text { send: "hello".to_owned(), expect: expect.map(str::to_owned) }
    }

    #[test]
    fn an_answer_is_complete_once_it_contains_what_is_expected() {
        assert_eq!(text(Some("world")).complete(b"hello wor").unwrap(), None);
        assert_eq!(text(Some("world")).complete(b"hello world").unwrap().as_deref(), Some("hello world"));
        assert_eq!(text(None).complete(b"").unwrap(), None);
        assert!(text(Some("world")).check("hello".to_owned()).is_err());
        assert!(text(None).check(String::new()).is_err());
    }

    #[test]
    fn an_http_answer_is_its_status_line_and_headers() {
        let http = Exchange::Http { path: "/".to_owned(), host: None };
        assert_eq!(http.complete(b"HTTP/1.1 200 OK\r\nA: b\r\n").unwrap(), None);
        let head = http.complete(b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\nbody").unwrap();
        assert_eq!(head.as_deref(), Some("HTTP/1.1 404 Not Found\r\nA: b"));
        assert!(http.complete(b"SSH-2.0-OpenSSH_9.2\r\n").is_err());
    }

    #[test]
    fn a_request_names_the_host_it_is_for() {
        assert!(request("admin", Some("dev.test"), 80).starts_with("GET /admin HTTP/1.1\r\nHost: dev.test\r\n"));
        assert!(request("/", None, 8080).contains("\r\nHost: localhost:8080\r\n"));
    }
}
