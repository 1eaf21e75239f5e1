//! UDP backends and clients.

use std::net::SocketAddr;

use tokio::net::UdpSocket;

use super::{Door, soon};

/// One end of a test: a client, or a backend that a test plays itself.
pub struct End(pub UdpSocket);

impl End {
    pub async fn start() -> Self {
        Self::bind(([127, 0, 0, 1], 0).into()).await
    }

    pub async fn bind(address: SocketAddr) -> Self {
        Self(UdpSocket::bind(address).await.unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub async fn send(&self, datagram: &[u8]) {
        assert_eq!(self.0.send(datagram).await.unwrap(), datagram.len());
    }

    pub async fn send_to(&self, datagram: &[u8], to: SocketAddr) {
        assert_eq!(self.0.send_to(datagram, to).await.unwrap(), datagram.len());
    }

    /// The next datagram, and where it comes from.
    pub async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut datagram = vec![0; 65_536];
        let (length, from) = soon(self.0.recv_from(&mut datagram)).await.unwrap();
        datagram.truncate(length);
        (datagram, from)
    }

    /// Expects the next datagram, and returns where it comes from.
    pub async fn expect(&self, datagram: &[u8]) -> SocketAddr {
        let (received, from) = self.receive().await;
        assert!(received == datagram, "{} bytes are not the {} expected", received.len(), datagram.len());
        from
    }

    /// Sends a datagram and expects the same back.
    pub async fn exchange(&self, datagram: &[u8]) {
        self.send(datagram).await;
        self.expect(datagram).await;
    }
}

/// A backend that returns what it gets, to any number of clients.
pub async fn echo() -> SocketAddr {
    echo_on(([127, 0, 0, 1], 0).into()).await
}

pub async fn echo_on(address: SocketAddr) -> SocketAddr {
    let end = End::bind(address).await;
    let address = end.address();
    tokio::spawn(async move {
        let mut datagram = vec![0; 65_536];
        while let Ok((length, from)) = end.0.recv_from(&mut datagram).await {
            let _ = end.0.send_to(&datagram[..length], from).await;
        }
    });
    address
}

/// A client that is connected to `door`: datagrams from elsewhere do not reach it.
pub async fn client(door: &Door) -> End {
    let end = End::bind(SocketAddr::new(door.address.ip(), 0)).await;
    end.0.connect(door.address).await.unwrap();
    end
}
