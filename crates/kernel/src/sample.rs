//! Tables for tests.

use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};
use portgate_core::table::{Backend, NoBackend, Reach, Table};

/// A mapping's local end, such as `127.0.0.1:8080/udp`.
pub(crate) fn local(text: &str) -> Local {
    let (end, protocol) = text.split_once('/').unwrap();
    let (addresses, port) = end.rsplit_once(':').unwrap();
    let addresses: Vec<_> = addresses.split(',').map(|address| address.parse().unwrap()).collect();
    let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
    let port = Port::new(port.parse().unwrap()).unwrap();
    Local { addresses: HostAddresses::try_from(addresses).unwrap(), port, protocol }
}

/// A table of mappings: the local end, and the backends' addresses, each perhaps with ` via ` and its router.
pub(crate) fn table(mappings: &[(&str, &[&str])]) -> Table {
    let resolution = |backends: &[&str]| {
        let backends: Vec<Backend> = backends.iter().map(|text| backend(text)).collect();
        if backends.is_empty() { Err(NoBackend::ClusterStopped) } else { Ok(backends) }
    };
    mappings.iter().map(|(end, backends)| (local(end), resolution(backends))).collect()
}

fn backend(text: &str) -> Backend {
    let (address, reach) = match text.split_once(" via ") {
        Some((address, via)) => (address, Reach::Route { via: via.parse().unwrap() }),
        None => (text, Reach::Node),
    };
    Backend { node: "node".to_owned(), address: address.parse().unwrap(), reach }
}
