//! The congestion control of connections that do not leave this machine.

use std::io;

use socket2::{Domain, Socket, Type};

/// What begins the names of the algorithms that pace: they send by a timer, which pays on a long way, and on a hop
/// within one machine costs more than the hop.
const PACING: &[u8] = b"bbr";

/// What to use in their place, best first. A process without privileges may use those that
/// `net.ipv4.tcp_allowed_congestion_control` names; Reno is always one of them.
const INSTEAD: [&str; 2] = ["cubic", "reno"];

/// A congestion control to be set on sockets; none where the system's default is as good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Congestion(Option<&'static str>);

impl Congestion {
    /// What this process may set, and has reason to.
    pub(crate) fn find() -> Self {
        Self(replacement().unwrap_or_default())
    }

    /// Sets it. That it cannot be set is no error.
    pub(crate) fn set(self, socket: &Socket) {
        if let Some(name) = self.0 {
            let _ = system::set(socket, name);
        }
    }
}

/// Replaces the default, if that is an algorithm that paces, on a socket that serves for nothing else.
fn replacement() -> io::Result<Option<&'static str>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if !system::get(&socket)?.starts_with(PACING) {
        return Ok(None);
    }
    Ok(INSTEAD.into_iter().find(|name| system::set(&socket, name).is_ok()))
}

#[cfg(target_os = "linux")]
mod system {
    use super::{Socket, io};

    pub(super) fn get(socket: &Socket) -> io::Result<Vec<u8>> {
        socket.tcp_congestion()
    }

    pub(super) fn set(socket: &Socket, name: &str) -> io::Result<()> {
        socket.set_tcp_congestion(name.as_bytes())
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Socket, io};

    pub(super) fn get(_socket: &Socket) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn set(_socket: &Socket, _name: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
