use super::*;
use crate::mapping::HostAddresses;
use crate::port::Protocol;

fn mapping(target: Target) -> Mapping {
    let port = Port::new(30999).unwrap();
    let local = Local { addresses: HostAddresses::loopback(), port, protocol: Protocol::Tcp };
    Mapping { local, target }
}

fn node_port() -> Mapping {
    mapping(Target::NodePort { port: Port::new(30080).unwrap() })
}

fn on_container(container: &str) -> Mapping {
    mapping(Target::Node { container: container.to_owned(), port: Port::new(5000).unwrap() })
}

fn seen(list: &[(&str, &[&str])]) -> Addresses {
    list.iter()
        .map(|(name, addresses)| {
            ((*name).to_owned(), addresses.iter().map(|address| address.parse().unwrap()).collect())
        })
        .collect()
}

fn only_resolution(mapping: &Mapping, nodes: &[&str], seen: &Addresses) -> Resolution {
    let nodes: Vec<String> = nodes.iter().map(|&node| node.to_owned()).collect();
    let own = OwnAddresses::from_iter([("172.18.0.1".parse().unwrap(), Forbidden::Host)]);
    let means = Means::Network { routes: true };
    let view = View { nodes: &nodes, seen, objects: &Objects::default(), means, own: Some(&own) };
    let mut table = build([mapping], view);
    table.remove(&mapping.local).unwrap()
}

fn ends(resolution: Resolution) -> Vec<String> {
    resolution.unwrap().into_iter().map(|backend| backend.address.to_string()).collect()
}

#[test]
fn a_node_port_leads_to_every_node_that_has_an_address() {
    let seen = seen(&[("server-0", &["172.18.0.2"]), ("agent-0", &[]), ("agent-1", &["172.18.0.4"])]);
    let resolution = only_resolution(&node_port(), &["server-0", "agent-0", "agent-1", "agent-2"], &seen);
    assert_eq!(ends(resolution), ["172.18.0.2:30080", "172.18.0.4:30080"]);
}

#[test]
fn a_node_port_of_a_stopped_cluster_leads_nowhere() {
    let resolution = only_resolution(&node_port(), &["server-0"], &seen(&[("server-0", &[])]));
    assert_eq!(resolution, Err(NoBackend::ClusterStopped));
}

#[test]
fn a_container_port_leads_to_that_container_only() {
    let seen = seen(&[("server-0", &["172.18.0.2"]), ("registry", &["172.18.0.9"])]);
    assert_eq!(ends(only_resolution(&on_container("registry"), &["server-0"], &seen)), ["172.18.0.9:5000"]);
    let gone = only_resolution(&on_container("gone"), &["server-0"], &seen);
    assert_eq!(gone, Err(NoBackend::ContainerStopped { container: "gone".to_owned() }));
}

#[test]
fn backends_say_how_they_are_reached() {
    let by_node = r#"{"node":"n","address":"172.18.0.2:80","reach":"node"}"#;
    let by_route = r#"{"node":"n","address":"10.43.0.1:80","reach":"route","via":"172.18.0.2"}"#;
    for text in [by_node, by_route] {
        let backend: Backend = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&backend).unwrap(), text);
    }
}

#[test]
fn a_container_with_both_families_is_reached_by_ipv4() {
    let both = seen(&[("server-0", &["fd00::2", "172.18.0.2"])]);
    assert_eq!(ends(only_resolution(&node_port(), &["server-0"], &both)), ["172.18.0.2:30080"]);
    let only_v6 = seen(&[("server-0", &["fd00::2"])]);
    assert_eq!(ends(only_resolution(&node_port(), &["server-0"], &only_v6)), ["[fd00::2]:30080"]);
}

#[test]
fn a_container_is_not_reached_by_an_address_of_the_host() {
    let forged = seen(&[("server-0", &["127.0.0.1", "172.18.0.1"]), ("agent-0", &["::1", "fd00::2"])]);
    assert_eq!(ends(only_resolution(&node_port(), &["server-0", "agent-0"], &forged)), ["[fd00::2]:30080"]);
    for mapping in [node_port(), on_container("server-0")] {
        let why = only_resolution(&mapping, &["server-0"], &forged).unwrap_err();
        assert_eq!(why.to_string(), "cannot lead to 127.0.0.1 of server-0: it is a loopback address");
    }
}

#[test]
fn processes_of_this_machine_are_reached_by_its_loopback_addresses() {
    let (nodes, seen) = (["demo-0".to_owned()], seen(&[("demo-0", &["127.0.0.9"])]));
    let means = Means::Network { routes: false };
    let view = View { nodes: &nodes, seen: &seen, objects: &Objects::default(), means, own: None };
    assert_eq!(ends(view.resolve(&node_port().target, Protocol::Tcp)), ["127.0.0.9:30080"]);
}
