//! Where the system has no `splice(2)` there is no pipe, and bytes are copied through a buffer.

use std::io;

use tokio::net::TcpStream;

/// A pipe that cannot be made.
#[derive(Debug)]
pub(super) enum Pipe {}

impl Pipe {
    pub(super) fn new() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn fill(&self, _from: &TcpStream) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn drain(&self, _to: &TcpStream, _held: usize) -> io::Result<usize> {
        match *self {}
    }
}
