//! TCP backends and clients.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Door, soon};

/// A backend that a test plays itself, connection by connection.
pub struct Server(TcpListener);

impl Server {
    pub async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub async fn accept(&self) -> TcpStream {
        soon(self.0.accept()).await.unwrap().0
    }

    /// Both ends of a new connection through `door`, the client's first.
    pub async fn connected(&self, door: &Door) -> (TcpStream, TcpStream) {
        tokio::join!(client(door), self.accept())
    }
}

/// A backend that returns what it gets, to any number of clients.
pub async fn echo() -> SocketAddr {
    let server = Server::start().await;
    let address = server.address();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.0.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// An address where nothing listens: connections are refused.
pub async fn refusing() -> SocketAddr {
    Server::start().await.address()
}

/// An address that does not answer: its backlog is full, and so the kernel ignores further connections.
pub struct Silent {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<std::net::TcpStream>,
}

impl Silent {
    pub fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = std::net::TcpStream::connect(address).unwrap();
        Self { address, _listener: listener, _waiting: vec![waiting] }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

pub async fn client(door: &Door) -> TcpStream {
    soon(TcpStream::connect(door.address)).await.unwrap()
}

/// Sends `message` and expects the same back.
pub async fn exchange(stream: &mut TcpStream, message: &[u8]) {
    soon(stream.write_all(message)).await.unwrap();
    expect(stream, message).await;
}

/// Expects the next bytes to be `message`.
pub async fn expect(stream: &mut TcpStream, message: &[u8]) {
    let mut received = vec![0; message.len()];
    soon(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(received, message);
}

/// All that comes until the end.
pub async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut received = Vec::new();
    soon(stream.read_to_end(&mut received)).await?;
    Ok(received)
}

/// Expects the other end to reset the connection.
pub async fn expect_reset(stream: &mut TcpStream) {
    assert_eq!(rest(stream).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// Resets the connection.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// The bytes of a long stream: a block whose length is prime, again and again, so that no loss, repetition or exchange of
/// pages or buffers goes unnoticed.
pub struct Pattern(Vec<u8>);

impl Pattern {
    const BLOCK: usize = 65_521;

    pub fn new(seed: u64) -> Self {
        let mut state = seed | 1;
        let bytes = (0..Self::BLOCK).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        });
        Self(bytes.collect())
    }

    /// Writes `length` bytes, and ends the stream.
    pub async fn send(&self, stream: &mut (impl AsyncWriteExt + Unpin), length: usize) {
        let mut sent = 0;
        while sent < length {
            let block = &self.0[..Self::BLOCK.min(length - sent)];
            soon(stream.write_all(block)).await.unwrap();
            sent += block.len();
        }
        soon(stream.shutdown()).await.unwrap();
    }

    /// Expects `length` bytes, and the end.
    pub async fn expect(&self, stream: &mut (impl AsyncReadExt + Unpin), length: usize) {
        let mut received = 0;
        let mut block = vec![0; Self::BLOCK];
        while received < length {
            let block = &mut block[..Self::BLOCK.min(length - received)];
            soon(stream.read_exact(block)).await.unwrap();
            assert!(*block == self.0[..block.len()], "the bytes from {received} on are others");
            received += block.len();
        }
        assert_eq!(soon(stream.read(&mut [0])).await.unwrap(), 0, "there are more bytes");
    }
}
