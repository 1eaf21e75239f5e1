//! What the sockets of connections inherit from the listener that [`bind`](portgate_relay::bind) makes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test, and its helper")]

use std::net::TcpStream;
use std::time::Duration;

use portgate_core::port::Protocol;
use portgate_relay::{Bound, bind};
use socket2::{Domain, SockRef, Socket, Type};

/// A connection that was accepted at an address of this machine.
fn accepted(address: &str) -> TcpStream {
    let Bound::Tcp(listener) = bind(address.parse().unwrap(), Protocol::Tcp).unwrap() else { panic!("it is TCP") };
    listener.set_nonblocking(false).unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    listener.accept().unwrap().0
}

fn congestion(socket: &Socket) -> String {
    let name = socket.tcp_congestion().unwrap();
    String::from_utf8_lossy(&name).trim_end_matches('\0').to_owned()
}

#[test]
fn accepted_connections_send_at_once_and_ask_for_signs_of_life() {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let stream = accepted(address);
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap(), "{address}");
        assert!(socket.keepalive().unwrap(), "{address}");
        let times = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!(times, (Duration::from_mins(1), Duration::from_secs(15)), "{address}");
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4, "{address}");
    }
}

#[test]
fn connections_within_this_machine_are_not_paced_and_others_are_as_the_machine_has_it() {
    let default = congestion(&Socket::new(Domain::IPV4, Type::STREAM, None).unwrap());
    assert!(!congestion(&SockRef::from(&accepted("127.0.0.1:0"))).starts_with("bbr"));
    assert_eq!(congestion(&SockRef::from(&accepted("0.0.0.0:0"))), default);
}
