//! The peers' configurations: what their manuals say for a TCP and UDP proxy, with splice and a core each where they can.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use portgate_core::port::Protocol;

use crate::service::Service;

/// One listener, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    protocol: Protocol,
    listen: String,
    node: String,
    ports: (u16, u16),
}

impl Hop {
    /// A port of 127.0.0.1 that leads to a service of the node at this address.
    pub(super) fn on_host(service: Service, port: u16, node: IpAddr) -> Self {
        let ports = (port, service.port());
        Self { protocol: service.protocol(), listen: "127.0.0.1".to_owned(), node: node.to_string(), ports }
    }

    /// A port of a container that leads to the same one of the node of this name.
    pub(super) fn in_container(service: Service, node: &str) -> Self {
        let ports = (service.port(), service.port());
        Self { protocol: service.protocol(), listen: "0.0.0.0".to_owned(), node: node.to_owned(), ports }
    }
}

/// haproxy uses every core, and splices where it can. It has no UDP.
pub(super) fn haproxy(hops: &[Hop]) -> String {
    let mut text = "global\n    maxconn 4000\n\ndefaults\n    mode tcp\n    option splice-auto\n    \
                    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n"
        .to_owned();
    for Hop { listen, node, ports, .. } in hops.iter().filter(|hop| hop.protocol == Protocol::Tcp) {
        let (port, to) = ports;
        let _ = write!(text, "\nlisten port-{to}\n    bind {listen}:{port}\n    server node {node}:{to}\n");
    }
    text
}

/// nginx has a worker on every core. `reuseport` keeps a UDP client with one of them, as its manual asks for.
pub(super) fn nginx(hops: &[Hop], module: &Path, directory: &Path) -> String {
    let mut text = format!(
        "load_module {};\nuser root;\ndaemon off;\nworker_processes auto;\nworker_rlimit_nofile 16384;\n\
         pid {}/nginx.pid;\nevents {{ worker_connections 8000; }}\nstream {{\n",
        module.display(),
        directory.display(),
    );
    for Hop { protocol, listen, node, ports: (port, to) } in hops {
        let udp = if *protocol == Protocol::Udp { " udp reuseport" } else { "" };
        let _ = writeln!(text, "    server {{ listen {listen}:{port}{udp}; proxy_pass {node}:{to}; }}");
    }
    text + "}\n"
}

/// The guide's sidecar, word for word: a socat for each port, which forks for each connection.
pub(super) fn socat(hops: &[Hop]) -> String {
    let mut text = String::new();
    for Hop { protocol, node, ports: (port, to), .. } in hops {
        let name = if *protocol == Protocol::Udp { "UDP4" } else { "TCP4" };
        let _ = writeln!(text, "/usr/bin/socat {name}-LISTEN:{port},fork,reuseaddr {name}:{node}:{to} &");
    }
    text + "wait\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops() -> Vec<Hop> {
        [Service::Sink, Service::Datagrams].map(|service| Hop::in_container(service, "node")).to_vec()
    }

    #[test]
    fn haproxy_gets_no_udp() {
        let config = haproxy(&hops());
        assert!(
            config.ends_with("listen port-30001\n    bind 0.0.0.0:30001\n    server node node:30001\n"),
            "{config}"
        );
        assert!(config.contains("option splice-auto"));
    }

    #[test]
    fn nginx_keeps_a_udp_client_with_one_worker() {
        let config = nginx(&hops(), Path::new("/stream.so"), Path::new("/tmp"));
        assert!(config.starts_with("load_module /stream.so;\n"));
        assert!(config.contains("server { listen 0.0.0.0:30001; proxy_pass node:30001; }\n"));
        assert!(config.contains("server { listen 0.0.0.0:30005 udp reuseport; proxy_pass node:30005; }\n"));
    }

    #[test]
    fn socat_is_run_as_the_guide_does() {
        assert_eq!(
            socat(&hops()),
            "/usr/bin/socat TCP4-LISTEN:30001,fork,reuseaddr TCP4:node:30001 &\n\
             /usr/bin/socat UDP4-LISTEN:30005,fork,reuseaddr UDP4:node:30005 &\nwait\n"
        );
    }
}
