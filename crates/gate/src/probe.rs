//! Trying a way, apart from all traffic: from the gate to a backend, and from the CLI to the gate.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use portgate_core::control::{ProbeOutcome, ProbeResult};
use portgate_core::port::{MAX_DATAGRAM, Protocol};
use portgate_core::table::Backend;
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// Tries all backends at once. The results have the backends' order.
pub(crate) async fn probe(
    backends: Vec<Backend>,
    protocol: Protocol,
    datagram: &[u8],
    timeout: Duration,
) -> Vec<ProbeResult> {
    let mut trials = JoinSet::new();
    for (index, backend) in backends.into_iter().enumerate() {
        let datagram = datagram.to_vec();
        trials.spawn(async move {
            let start = Instant::now();
            let trial = attempt(backend.address, protocol, &datagram);
            let outcome = tokio::time::timeout(timeout, trial).await.unwrap_or(match protocol {
                Protocol::Tcp => ProbeOutcome::TimedOut,
                Protocol::Udp => ProbeOutcome::Silent,
            });
            let Backend { node, address, .. } = backend;
            (index, ProbeResult { node, address, outcome, elapsed: start.elapsed() })
        });
    }
    let mut results = trials.join_all().await;
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

async fn attempt(address: SocketAddr, protocol: Protocol, datagram: &[u8]) -> ProbeOutcome {
    let result = match protocol {
        Protocol::Tcp => TcpStream::connect(address).await.map(drop),
        Protocol::Udp => exchange(address, datagram).await.map(drop),
    };
    result.map_or_else(|error| failure(&error), |()| ProbeOutcome::Answered)
}

/// What a failed attempt has found. An ICMP port unreachable arrives as a refused connection.
pub fn failure(error: &io::Error) -> ProbeOutcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ProbeOutcome::Refused,
        _ => ProbeOutcome::Failed { message: error.to_string() },
    }
}

/// Sends a datagram, and waits for the reply.
pub async fn exchange(address: SocketAddr, datagram: &[u8]) -> io::Result<Vec<u8>> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    socket.connect(address).await?;
    socket.send(datagram).await?;
    let mut reply = vec![0; MAX_DATAGRAM];
    let length = socket.recv(&mut reply).await?;
    reply.truncate(length);
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use portgate_core::table::Reach;
    use tokio::net::TcpListener;

    use super::*;

    fn backend(address: SocketAddr) -> Backend {
        Backend { node: "node".to_owned(), address, reach: Reach::Node }
    }

    async fn outcomes(addresses: &[SocketAddr], protocol: Protocol, timeout: Duration) -> Vec<ProbeOutcome> {
        let backends = addresses.iter().map(|address| backend(*address)).collect();
        probe(backends, protocol, b"hello", timeout).await.into_iter().map(|result| result.outcome).collect()
    }

    #[tokio::test]
    async fn tcp_backends_answer_or_refuse() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [gone.local_addr().unwrap(), listener.local_addr().unwrap()];
        drop(gone);
        let outcomes = outcomes(&addresses, Protocol::Tcp, Duration::from_secs(5)).await;
        assert_eq!(outcomes, [ProbeOutcome::Refused, ProbeOutcome::Answered]);
    }

    #[tokio::test]
    async fn udp_backends_answer_refuse_or_are_silent() {
        let echo = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = echo.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let mut buffer = [0; 64];
            let (length, client) = echo.recv_from(&mut buffer).await.unwrap();
            echo.send_to(&buffer[..length], client).await.unwrap();
        });
        assert_eq!(outcomes(&[address], Protocol::Udp, Duration::from_secs(5)).await, [ProbeOutcome::Answered]);
        server.await.unwrap();
        assert_eq!(outcomes(&[address], Protocol::Udp, Duration::from_secs(5)).await, [ProbeOutcome::Refused]);
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let outcomes = outcomes(&[silent.local_addr().unwrap()], Protocol::Udp, Duration::from_millis(10)).await;
        assert_eq!(outcomes, [ProbeOutcome::Silent]);
    }
}
