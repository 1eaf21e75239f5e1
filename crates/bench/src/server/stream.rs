//! The services that move as much as they can. Each connection has a thread that blocks: fewer system calls than any loop
//! around readiness, so that the node is not what is measured.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use super::meter::Counters;
use crate::service::CHUNK;

/// The largest datagram and more, in bytes.
const DATAGRAM: usize = 64 << 10;

/// Takes bytes.
pub(super) fn sink(listener: TcpListener, counters: Arc<Counters>) {
    each(listener, move |mut stream| {
        let mut chunk = vec![0; CHUNK];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            counters.bytes.fetch_add(length as u64, Ordering::Relaxed);
        }
    });
}

/// Sends bytes.
pub(super) fn source(listener: TcpListener) {
    each(listener, |mut stream| {
        let chunk = vec![0x5a; CHUNK];
        while stream.write(&chunk).is_ok() {}
    });
}

/// Takes datagrams, one a call, as most programs do.
pub(super) fn datagrams(socket: UdpSocket, counters: Arc<Counters>) {
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            if socket.recv(&mut buffer).is_ok() {
                counters.datagrams.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
}

/// Sends datagrams back.
pub(super) fn echo(socket: UdpSocket) {
    thread::spawn(move || {
        let mut buffer = vec![0; DATAGRAM];
        loop {
            if let Ok((length, client)) = socket.recv_from(&mut buffer) {
                // One that cannot be sent is lost, as on any network.
                let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), client);
            }
        }
    });
}

fn each(listener: TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
}
