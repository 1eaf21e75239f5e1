//! What the tests of the decisions know of a cluster: Services of every form, beside those of the recorded fixtures.

use std::net::IpAddr;

use super::{Endpoint, EndpointPort, Exposure, Kind, ObjectKey, Objects, Pod, Service, ServicePort};
use crate::port::{Port, Protocol};

/// The address of the one pod that is ready.
pub(crate) const POD: &str = "10.42.0.2";

/// The node that this pod is on.
pub(crate) const NODE: &str = "k3d-mycluster-server-0";

pub(crate) fn key(kind: Kind, name: &str, namespace: &str) -> ObjectKey {
    ObjectKey { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `tcp 9999 30999`: name, number, and node port if there is one.
pub(crate) fn port(text: &str, protocol: Protocol) -> ServicePort {
    let mut words = text.split(' ');
    let name = words.next().map(str::to_owned);
    let mut number = || words.next().map(|word| word.parse().ok().and_then(Port::new).unwrap());
    ServicePort { name, protocol, port: number().unwrap(), node_port: number() }
}

pub(crate) fn endpoint(address: &str, node: &str, ports: &[ServicePort]) -> Endpoint {
    let port = |port: &ServicePort| EndpointPort { name: port.name.clone(), protocol: port.protocol, port: port.port };
    Endpoint {
        address: ip(address),
        node: Some(node.to_owned()),
        pod: Some(format!("pod-{}", address.replace('.', "-"))),
        ready: true,
        terminating: false,
        ports: ports.iter().map(port).collect(),
    }
}

pub(crate) fn service(exposure: Exposure, address: Option<&str>, ports: Vec<ServicePort>) -> Service {
    Service {
        exposure,
        cluster_ips: address.map(ip).into_iter().collect(),
        ingress: Vec::new(),
        local_only: false,
        endpoints: vec![endpoint(POD, NODE, &ports)],
        ports,
    }
}

/// The recorded cluster's Services, and some that it has not.
pub(crate) fn objects() -> Objects {
    use Protocol::{Tcp, Udp};
    let ports =
        [("tcp 9999 30999", Tcp), ("udp 9998 30998", Udp), ("iperf 5201 30521", Tcp), ("iperfu 5201 30521", Udp)];
    let mut ports: Vec<ServicePort> = ports.map(|(text, protocol)| port(text, protocol)).into();
    ports.push(port("http 80 30080", Tcp));
    let services = [
        ("echo", "backend", service(Exposure::NodePort, Some("10.43.189.1"), ports)),
        ("internal", "backend", service(Exposure::ClusterIp, Some("10.43.49.72"), vec![port("tcp 9999", Tcp)])),
        ("kubernetes", "default", service(Exposure::ClusterIp, Some("10.43.0.1"), vec![port("https 443", Tcp)])),
        (
            "dns",
            "kube-system",
            service(Exposure::ClusterIp, Some("10.43.0.10"), vec![port("dns-tcp 53", Tcp), port("dns 53", Udp)]),
        ),
        ("headless", "backend", service(Exposure::ClusterIp, None, vec![port("tcp 9999", Tcp)])),
        ("outside", "backend", service(Exposure::ExternalName { name: "example.org".to_owned() }, None, Vec::new())),
    ];
    let pod = Pod {
        name: "echo-6d4f68dbd7-k8vdx".to_owned(),
        address: Some(ip(POD)),
        node: Some(NODE.to_owned()),
        ready: true,
        terminating: false,
        ports: ["tcp-echo 9999", "udp-echo 9998"]
            .into_iter()
            .zip([Tcp, Udp])
            .map(|(text, protocol)| port(text, protocol))
            .map(|port| EndpointPort { name: port.name, protocol: port.protocol, port: port.port })
            .collect(),
    };
    Objects {
        services: services.map(|(name, namespace, service)| (key(Kind::Service, name, namespace), service)).into(),
        pods: [
            (key(Kind::Deployment, "echo", "backend"), vec![pod]),
            (key(Kind::Deployment, "nothing", "backend"), Vec::new()),
        ]
        .into(),
        ready_nodes: Some([NODE.to_owned()].into()),
        problem: None,
    }
}
