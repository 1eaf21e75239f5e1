//! What a user's programs do with an open port.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::support::LONG;

/// A connection echoes, up to its end.
#[track_caller]
pub(crate) fn tcp_echoes(address: SocketAddr) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let answer = say(address, "hello tcp").await;
        assert!(matches!(answer.as_deref(), Ok("hello tcp")), "{caller}: {address} says {answer:?}");
    }
}

/// What comes back until the other side closes.
pub(crate) async fn say(address: SocketAddr, text: &str) -> io::Result<String> {
    let conversation = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(LONG, conversation).await.expect("the connection hangs")
}

/// A datagram comes back.
#[track_caller]
pub(crate) fn udp_echoes(address: SocketAddr) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let local = if address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(local).await.unwrap();
        socket.connect(address).await.unwrap();
        socket.send(b"hello udp").await.unwrap();
        let mut answer = [0; 64];
        let length = timeout(LONG, socket.recv(&mut answer)).await;
        let length = length.unwrap_or_else(|_| panic!("{caller}: {address} is silent")).unwrap();
        assert_eq!(&answer[..length], b"hello udp", "{caller}");
    }
}

/// Nothing is behind the port: it refuses, or ends the connection without a byte.
#[track_caller]
pub(crate) fn tcp_is_closed(address: SocketAddr) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let answer = say(address, "is anybody there?").await.unwrap_or_default();
        assert!(answer.is_empty(), "{caller}: {address} says {answer:?}");
    }
}

/// An open connection to an echo.
pub(crate) struct Talk(TcpStream);

impl Talk {
    pub(crate) async fn start(address: SocketAddr) -> Self {
        let mut talk = Self(TcpStream::connect(address).await.unwrap());
        talk.goes_on().await;
        talk
    }

    /// The connection still echoes.
    pub(crate) async fn goes_on(&mut self) {
        let mut answer = [0; 5];
        self.0.write_all(b"still").await.unwrap();
        timeout(LONG, self.0.read_exact(&mut answer)).await.expect("the connection hangs").unwrap();
        assert_eq!(&answer, b"still");
    }

    /// The other side ends the connection, at the latest when it hears something.
    pub(crate) async fn ends_if_spoken_to(mut self) {
        let _ = self.0.write_all(b"hello?").await;
        let mut answer = Vec::new();
        let end = timeout(LONG, self.0.read_to_end(&mut answer)).await.expect("the connection goes on");
        assert!(end.is_err() || answer.is_empty(), "{answer:?}");
    }

    /// The other side ends the connection.
    pub(crate) async fn ends(mut self) {
        let end = timeout(LONG, self.0.read(&mut [0])).await.expect("the connection goes on");
        assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    }
}
