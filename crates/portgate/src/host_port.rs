//! Whether the host's ports are free, and who holds those that are not.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use portgate_core::control::Detail;
use portgate_core::limits::STATUS_TIME;
use portgate_core::mapping::{HostAddresses, Local, Mapping};
use portgate_core::port::Protocol;
use portgate_core::status::Placement;
use portgate_docker::engine::Engine;

use crate::failure::Failure;
use crate::gates::{Gate, Gates, Report};

/// Tries to listen on every local end, for a moment. The first that cannot be had is the error.
///
/// A port below 1024 is left to the engine, which may bind it where the user may not.
pub(crate) async fn check(engine: Option<&Engine>, mappings: &[Mapping]) -> Result<(), Failure> {
    for local in mappings.iter().map(|mapping| &mapping.local) {
        for address in local.sockets() {
            match listen(address, local.protocol) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    let holder = holder(engine, local, address).await?;
                    return Err(Failure::PortTaken { local: local.clone(), address, holder });
                }
                Err(source) if source.kind() == io::ErrorKind::AddrNotAvailable => {
                    return Err(Failure::NoAddress { address, source });
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// An error if this user may not listen on one of these local ends.
pub(crate) fn check_rights(mappings: &[Mapping]) -> Result<(), Failure> {
    for local in mappings.iter().map(|mapping| &mapping.local) {
        let refused = |address| matches!(listen(address, local.protocol), Err(error) if error.kind() == io::ErrorKind::PermissionDenied);
        if local.sockets().any(refused) {
            return Err(Failure::PortPrivileged { local: local.clone() });
        }
    }
    Ok(())
}

/// 127.0.0.1 and `[::1]`; without the latter where this machine does not have it.
pub(crate) fn loopback() -> HostAddresses {
    let ipv6 = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0));
    if ipv6.is_ok() { HostAddresses::loopback() } else { HostAddresses::single(Ipv4Addr::LOCALHOST.into()) }
}

/// Whether all of a local end can be listened on now.
pub(crate) fn is_free(local: &Local) -> bool {
    let is_taken =
        |address| matches!(listen(address, local.protocol), Err(error) if error.kind() == io::ErrorKind::AddrInUse);
    !local.sockets().any(is_taken)
}

/// Whether a port can be listened on at 127.0.0.1 now.
pub(crate) fn is_free_on_loopback(port: u16, protocol: Protocol) -> bool {
    listen((Ipv4Addr::LOCALHOST, port).into(), protocol).is_ok()
}

fn listen(address: SocketAddr, protocol: Protocol) -> io::Result<()> {
    match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    }
}

/// The container that publishes the port, or the gate in the host's network that has it, else the process that listens.
async fn holder(engine: Option<&Engine>, local: &Local, address: SocketAddr) -> Result<String, Failure> {
    if let Some(engine) = engine {
        if let Some(container) = engine.publisher_of(local).await? {
            return Ok(format!("container {container}"));
        }
        if let Some(gate) = gate_of(engine, local).await? {
            return Ok(format!("container {gate}"));
        }
    }
    let protocol = match local.protocol {
        Protocol::Tcp => listeners::Protocol::TCP,
        Protocol::Udp => listeners::Protocol::UDP,
    };
    let process = listeners::get_process_by_port(address.port(), protocol);
    Ok(process.map_or_else(
        |_| "a process of another user".to_owned(),
        |process| format!("process {} (pid {})", process.name, process.pid),
    ))
}

/// The gate in the host's network that has a mapping there. All are asked at once, and one that does not answer soon is
/// passed over.
async fn gate_of(engine: &Engine, local: &Local) -> Result<Option<String>, Failure> {
    let mut list: Vec<Gate> = engine.gates(None).await?.into_iter().map(Gate::Container).collect();
    list.retain(|gate| gate.placement() == Placement::Host);
    let reports = Gates { engine: Some(engine.clone()), list }.reports(Detail::Brief, STATUS_TIME).await?;
    let has = |report: &&Report| report.is_live() && report.mappings().iter().any(|it| it.local.overlaps(local));
    Ok(reports.iter().find(has).map(|report| report.gate.name().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_listens_is_taken_and_one_that_does_not_is_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(listen(address, Protocol::Tcp).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        listen(address, Protocol::Tcp).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(listen(address, Protocol::Udp).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}
