//! What applications say through open ports, and that nobody is disturbed by what happens to other ports.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::cluster;
use crate::flows::{Datagrams, Download, ranges};
use crate::support::{COUNTING, DATAGRAM_ECHO, DOWNLOAD, ECHO, GREETING, LONG, OTHER_ECHO, free_port, local, turn};

const MIB: u64 = 1 << 20;

/// The largest UDP payload over IPv4, in bytes.
const LARGEST_DATAGRAM: usize = 65_507;

/// Bytes without a period that a buffer's size divides.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|index| u8::try_from(index % 251).unwrap()).collect()
}

#[tokio::test]
async fn all_bytes_come_back_after_a_half_close() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    for address in [local(port), (Ipv6Addr::LOCALHOST, port).into()] {
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut from, mut to) = stream.into_split();
        let sent = payload(32 << 20);
        let copy = sent.clone();
        let sending = tokio::spawn(async move {
            to.write_all(&copy).await.unwrap();
            to.shutdown().await.unwrap();
            to
        });
        let mut received = Vec::new();
        timeout(LONG, from.read_to_end(&mut received)).await.unwrap().unwrap();
        assert_eq!(received.len(), sent.len());
        assert!(received == sent);
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_goes_on_after_its_client_has_said_everything() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{DOWNLOAD}")).await.ok();
    let download = Download::start(local(port), 40 * MIB).await;
    assert_eq!(download.finish().await, 40 * MIB);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_at_once() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{GREETING}")).await.ok();
    let mut stream = TcpStream::connect(local(port)).await.unwrap();
    let mut greeting = [0; 14];
    timeout(Duration::from_secs(1), stream.read_exact(&mut greeting)).await.unwrap().unwrap();
    assert_eq!(&greeting, b"SSH-2.0-peer\r\n");
    stream.write_all(b"and goes on").await.unwrap();
    let mut echo = [0; 11];
    timeout(LONG, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"and goes on");
}

async fn udp_client(to: SocketAddr) -> UdpSocket {
    let any: SocketAddr = if to.is_ipv4() { (Ipv4Addr::LOCALHOST, 0).into() } else { (Ipv6Addr::LOCALHOST, 0).into() };
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.connect(to).await.unwrap();
    socket
}

async fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut datagram = vec![0; LARGEST_DATAGRAM + 1];
    let length = timeout(Duration::from_secs(5), socket.recv(&mut datagram)).await.ok()?.ok()?;
    datagram.truncate(length);
    Some(datagram)
}

#[tokio::test]
async fn one_datagram_gets_any_number_of_replies() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{COUNTING}/udp")).await.ok();
    let client = udp_client(local(port)).await;
    for replies in [0, 1, 2, 100] {
        client.send(replies.to_string().as_bytes()).await.unwrap();
        for number in 1..=replies {
            let expected = format!("{number}/{replies}");
            assert_eq!(receive(&client).await.map(|reply| String::from_utf8(reply).unwrap()), Some(expected));
        }
    }
}

#[tokio::test]
async fn datagrams_of_every_size_come_back() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{DATAGRAM_ECHO}/udp")).await.ok();
    for address in [local(port), (Ipv6Addr::LOCALHOST, port).into()] {
        let client = udp_client(address).await;
        for length in [1, 1372, 1373, 1472, 1473, 8192, 32_768, 65_000, LARGEST_DATAGRAM] {
            let sent = payload(length);
            client.send(&sent).await.unwrap();
            let received = receive(&client).await;
            assert!(received.as_ref() == Some(&sent), "{length} bytes to {address}: {:?}", received.map(|r| r.len()));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_and_closing_ports_disturbs_no_other() {
    let _turn = turn().await;
    let Some(cluster) = cluster().await else { return };
    let (tcp, download, udp, other) = (free_port(), free_port(), free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {download}:{DOWNLOAD} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    let length = 300 * MIB;
    let datagrams = Datagrams::start(local(udp)).await;
    let mut open = TcpStream::connect(local(tcp)).await.unwrap();
    echoes(&mut open).await;
    let mut download = Download::start(local(download), length).await;
    download.reaches(MIB).await;
    datagrams.works().await;

    cluster.run(&format!("open {other}:{OTHER_ECHO} {other}:{DATAGRAM_ECHO}/udp")).await.ok();
    echoes(&mut TcpStream::connect(local(other)).await.unwrap()).await;
    echoes(&mut open).await;
    cluster.run(&format!("close {other} {other}/udp")).await.ok();
    echoes(&mut open).await;
    assert!(download.received() < length, "the download was over too early to show anything");
    datagrams.works().await;

    assert_eq!(download.finish().await, length);
    echoes(&mut open).await;
    let report = datagrams.stop().await;
    assert_eq!(ranges(&report.lost()), "", "lost of {}", report.sent());
    assert!(report.sent() > 100, "{}", report.sent());
    println!("{} datagrams, none lost", report.sent());
}

async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"still there").await.unwrap();
    let mut echo = [0; 11];
    timeout(LONG, stream.read_exact(&mut echo)).await.unwrap().unwrap();
    assert_eq!(&echo, b"still there");
}
