//! Opening and closing, through the real program and a real engine.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::support::{DATAGRAM_ECHO, ECHO, LONG, cluster, free_port, local};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

async fn tcp_echoes(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"hello tcp").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(LONG, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, "hello tcp");
}

async fn udp_echoes(address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    socket.send(b"hello udp").await.unwrap();
    let mut answer = [0; 64];
    let length = timeout(LONG, socket.recv(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer[..length], b"hello udp");
}

#[tokio::test]
async fn two_ports_are_opened_tested_and_reached() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 2, "{}", opened.stdout);
    assert!(opened.elapsed < Duration::from_secs(10));

    tcp_echoes(local(tcp)).await;
    tcp_echoes((Ipv6Addr::LOCALHOST, tcp).into()).await;
    udp_echoes(local(udp)).await;
}
