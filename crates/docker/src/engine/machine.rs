//! Which machine an engine runs on, and why a gate cannot be in that machine's network.

use crate::endpoint::Endpoint;

/// The machine that an engine runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// This one.
    This,
    /// One with another kernel, behind a socket of this one: a virtual machine.
    Virtual,
    /// Another one, as far as can be told: it is not reached through a Unix socket.
    Remote,
}

/// Why a gate cannot run in the host's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoHost {
    /// The engine is not reached through a Unix socket.
    #[error("the Docker engine is not reached through a Unix socket of this machine")]
    Remote,
    /// The engine has no rights over the host's network.
    #[error("the Docker engine is rootless, and has a network of its own")]
    Rootless,
    /// The engine's containers may not share the host's network.
    #[error("the Docker engine maps root in its containers to another user (`userns-remap`)")]
    UserNamespaces,
    /// The engine is Docker Desktop's.
    #[error("Docker Desktop runs its containers in a virtual machine")]
    DockerDesktop,
    /// The engine is Podman.
    #[error("the engine is Podman")]
    Podman,
    /// The containers are not Linux'.
    #[error("the Docker engine does not run Linux containers")]
    NotLinux,
    /// The engine's kernel is not this machine's.
    #[error("the Docker engine runs in a virtual machine")]
    VirtualMachine,
}

impl Machine {
    /// From the releases of the engine's kernel and of this machine's, as `uname -r` prints them.
    pub(super) fn of(endpoint: &Endpoint, engines: Option<&str>, ours: Option<&str>) -> Self {
        match endpoint {
            Endpoint::Unix(_) if engines.is_some() && engines == ours => Self::This,
            Endpoint::Unix(_) => Self::Virtual,
            Endpoint::Pipe(_) | Endpoint::Tcp(_) | Endpoint::Tls { .. } | Endpoint::Ssh(_) => Self::Remote,
        }
    }
}

/// The release of this machine's kernel, as `uname -r` prints it.
#[cfg(unix)]
pub(super) fn kernel_release() -> Option<String> {
    rustix::system::uname().release().to_str().ok().map(str::to_owned)
}

/// Not known, and not needed: host placement asks for a Unix socket.
#[cfg(not(unix))]
pub(super) fn kernel_release() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_its_socket_and_its_kernel() {
        let socket = Endpoint::Unix("/var/run/docker.sock".into());
        assert_eq!(Machine::of(&socket, Some("6.1.0-37-amd64"), Some("6.1.0-37-amd64")), Machine::This);
        assert_eq!(Machine::of(&socket, Some("6.10.14-linuxkit"), Some("24.6.0")), Machine::Virtual);
        assert_eq!(Machine::of(&socket, None, None), Machine::Virtual);
        for elsewhere in [Endpoint::Tcp("127.0.0.1:2375".to_owned()), Endpoint::Ssh("me@localhost".to_owned())] {
            assert_eq!(Machine::of(&elsewhere, Some("6.1.0"), Some("6.1.0")), Machine::Remote);
        }
    }
}
