use super::*;
use crate::kubernetes::sample::{self, NODE, endpoint, ip, key, objects, port, service};
use crate::kubernetes::{Exposure, Kind, Service};

const ROUTES: Means = Means::Network { routes: true };
const NO_ROUTES: Means = Means::Network { routes: false };
const AGENT: &str = "k3d-mycluster-agent-0";

/// The addresses of the bridge and of the LAN that the host has.
const OWN: [(&str, Forbidden); 2] = [("172.20.0.1", Forbidden::Gateway), ("192.168.1.7", Forbidden::Host)];

/// A cluster of a server and an agent, and what is known of its Services.
struct Scene {
    objects: Objects,
    addresses: Addresses,
    means: Means,
    own: OwnAddresses,
}

impl Scene {
    fn new() -> Self {
        let addresses = [(NODE.to_owned(), vec![ip("172.20.0.2")]), (AGENT.to_owned(), vec![ip("172.20.0.3")])];
        let mut objects = objects();
        objects.ready_nodes = Some([NODE, AGENT].map(str::to_owned).into());
        let own = OWN.map(|(address, why)| (ip(address), why)).into_iter().collect();
        Self { objects, addresses: addresses.into(), means: ROUTES, own }
    }

    fn with(name: &str, service: Service) -> Self {
        let mut scene = Self::new();
        scene.objects.services.insert(key(Kind::Service, name, "backend"), service);
        scene
    }

    fn by(self, means: Means) -> Self {
        Self { means, ..self }
    }

    fn resolve(&self, object: ObjectKey, port: &str, protocol: Protocol) -> Resolution {
        let target = Target::Object { object, port: port.parse().unwrap() };
        self.view(|view| view.resolve(&target, protocol))
    }

    fn view<T>(&self, look: impl FnOnce(View<'_>) -> T) -> T {
        let nodes = [NODE, AGENT].map(str::to_owned);
        let (seen, objects, means) = (&self.addresses, &self.objects, self.means);
        look(View { nodes: &nodes, seen, objects, means, own: Some(&self.own) })
    }

    fn service(&self, name: &str, port: &str, protocol: Protocol) -> Resolution {
        self.resolve(key(Kind::Service, name, "backend"), port, protocol)
    }

    /// `address by node`, `address via router` or `address of pod`.
    fn ways(&self, name: &str, port: &str, protocol: Protocol) -> Vec<String> {
        ways(self.service(name, port, protocol))
    }
}

fn ways(resolution: Resolution) -> Vec<String> {
    let way = |backend: &Backend| match backend.reach {
        Reach::Node => format!("{} by node", backend.address),
        Reach::Route { via } => format!("{} via {via}", backend.address),
        Reach::Api => format!("{} of {}", backend.address, backend.node),
    };
    resolution.unwrap().iter().map(way).collect()
}

#[test]
fn a_node_port_is_reached_at_every_ready_node() {
    let mut scene = Scene::new();
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp), ["172.20.0.2:30999 by node", "172.20.0.3:30999 by node"]);
    assert_eq!(scene.ways("echo", "9998", Protocol::Udp)[0], "172.20.0.2:30998 by node");
    scene.objects.ready_nodes = Some([AGENT.to_owned()].into());
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp), ["172.20.0.3:30999 by node"]);
    scene.objects.ready_nodes = Some([].into());
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp).len(), 2, "Kubernetes may be slower than its nodes");
}

#[test]
fn a_service_that_stays_local_is_reached_only_where_its_pods_are() {
    let mut echo = Scene::new().objects.services[&key(Kind::Service, "echo", "backend")].clone();
    echo.local_only = true;
    echo.endpoints[0].node = Some(AGENT.to_owned());
    let scene = Scene::with("echo", echo);
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp), ["172.20.0.3:30999 by node"]);
}

#[test]
fn one_port_number_can_have_both_protocols() {
    let scene = Scene::new();
    assert_eq!(scene.ways("echo", "5201", Protocol::Tcp)[0], "172.20.0.2:30521 by node");
    assert_eq!(scene.ways("echo", "5201", Protocol::Udp)[0], "172.20.0.2:30521 by node");
    let no_udp = scene.service("echo", "http", Protocol::Udp).unwrap_err();
    assert_eq!(no_udp.to_string(), "svc/echo.backend has no udp port http");
}

#[test]
fn a_cluster_ip_is_reached_through_the_first_node_that_runs() {
    let mut scene = Scene::new();
    assert_eq!(scene.ways("internal", "tcp", Protocol::Tcp), ["10.43.49.72:9999 via 172.20.0.2"]);
    scene.addresses.insert(NODE.to_owned(), Vec::new());
    assert_eq!(scene.ways("internal", "9999", Protocol::Tcp), ["10.43.49.72:9999 via 172.20.0.3"]);
    let dns = scene.resolve(key(Kind::Service, "dns", "kube-system"), "53", Protocol::Udp);
    assert_eq!(ways(dns), ["10.43.0.10:53 via 172.20.0.3"]);
    scene.addresses.insert(AGENT.to_owned(), Vec::new());
    assert_eq!(scene.service("internal", "tcp", Protocol::Tcp), Err(NoBackend::ClusterStopped));
}

#[test]
fn without_routes_only_what_nodes_serve_is_reached() {
    let scene = Scene::new().by(NO_ROUTES);
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp)[0], "172.20.0.2:30999 by node");
    let internal = key(Kind::Service, "internal", "backend");
    assert_eq!(scene.service("internal", "tcp", Protocol::Tcp), Err(NoBackend::NoRoute { object: internal }));
}

#[test]
fn a_cluster_ip_of_ipv6_has_no_route() {
    let scene = Scene::with("six", service(Exposure::ClusterIp, Some("fd00::10"), vec![port("tcp 80", Protocol::Tcp)]));
    let object = key(Kind::Service, "six", "backend");
    assert_eq!(scene.service("six", "80", Protocol::Tcp), Err(NoBackend::NoRoute { object }));
}

#[test]
fn a_headless_service_is_reached_at_its_pods_each_through_its_own_node() {
    let ports = vec![port("tcp 9999", Protocol::Tcp)];
    let mut headless = service(Exposure::ClusterIp, None, ports.clone());
    headless.endpoints.push(endpoint("10.42.1.7", AGENT, &ports));
    headless.endpoints.push(endpoint("10.42.1.8", "a node of another network", &ports));
    let mut ending = endpoint("10.42.1.9", AGENT, &ports);
    ending.terminating = true;
    headless.endpoints.push(ending);
    let expected = ["10.42.0.2:9999 via 172.20.0.2", "10.42.1.7:9999 via 172.20.0.3", "10.42.1.8:9999 via 172.20.0.2"];
    assert_eq!(Scene::with("headless", headless).ways("headless", "tcp", Protocol::Tcp), expected);
}

#[test]
fn an_endpoint_in_a_nodes_own_network_needs_no_route() {
    let ports = vec![port("https 6443", Protocol::Tcp)];
    let mut headless = service(Exposure::ClusterIp, None, ports.clone());
    headless.endpoints = vec![endpoint("172.20.0.3", AGENT, &ports)];
    let scene = Scene::with("host-network", headless).by(NO_ROUTES);
    assert_eq!(scene.ways("host-network", "https", Protocol::Tcp), ["172.20.0.3:6443 by node"]);
}

#[test]
fn a_load_balancer_without_node_ports_is_reached_at_its_nodes_and_port() {
    let mut web = service(Exposure::LoadBalancer, Some("10.43.7.7"), vec![port("http 80", Protocol::Tcp)]);
    web.ingress = vec![ip("172.20.0.2"), ip("172.20.0.3")];
    let scene = Scene::with("web", web.clone()).by(NO_ROUTES);
    assert_eq!(scene.ways("web", "http", Protocol::Tcp), ["172.20.0.2:80 by node", "172.20.0.3:80 by node"]);
    web.ingress = vec![ip("192.0.2.1")];
    let scene = Scene::with("web", web.clone());
    assert_eq!(scene.ways("web", "http", Protocol::Tcp), ["10.43.7.7:80 via 172.20.0.2"]);
    web.ports[0].node_port = Port::new(30080);
    assert_eq!(Scene::with("web", web).ways("web", "http", Protocol::Tcp)[0], "172.20.0.2:30080 by node");
}

#[test]
fn services_without_an_end_say_why() {
    let mut none = service(Exposure::ClusterIp, Some("10.43.7.7"), vec![port("http 80", Protocol::Tcp)]);
    none.endpoints.clear();
    let mut unready = none.clone();
    unready.endpoints = vec![endpoint("10.42.0.9", NODE, &unready.ports)];
    unready.endpoints[0].ready = false;
    let said = |name: &str, service: &Service| {
        Scene::with(name, service.clone()).service(name, "http", Protocol::Tcp).unwrap_err().to_string()
    };
    assert_eq!(said("none", &none), "svc/none.backend has no endpoint");
    assert_eq!(said("unready", &unready), "no endpoint of svc/unready.backend is ready");
    let scene = Scene::new();
    let outside = scene.service("outside", "http", Protocol::Tcp).unwrap_err();
    assert_eq!(outside.to_string(), "svc/outside.backend is only a name, of example.org");
    let gone = scene.service("gone", "http", Protocol::Tcp).unwrap_err();
    assert_eq!(gone.to_string(), "svc/gone.backend does not exist");
}

#[test]
fn what_the_api_server_has_not_told_is_not_called_missing() {
    let mut scene = Scene::new();
    scene.objects = Objects { problem: Some("connection refused".to_owned()), ..Objects::default() };
    let unknown = scene.service("echo", "tcp", Protocol::Tcp).unwrap_err();
    assert_eq!(unknown.to_string(), "nothing is known of svc/echo.backend yet: connection refused");
}

#[test]
fn pods_are_reached_by_their_numbers_and_names_of_ports() {
    let scene = Scene::new();
    let echo = || key(Kind::Deployment, "echo", "backend");
    let by_name = scene.resolve(echo(), "tcp-echo", Protocol::Tcp);
    assert_eq!(ways(by_name), ["10.42.0.2:9999 via 172.20.0.2"]);
    assert_eq!(ways(scene.resolve(echo(), "7777", Protocol::Udp)), ["10.42.0.2:7777 via 172.20.0.2"]);
    let unnamed = scene.resolve(echo(), "http", Protocol::Tcp).unwrap_err();
    assert_eq!(unnamed.to_string(), "deploy/echo.backend has no tcp port http");
    let nothing = scene.resolve(key(Kind::Deployment, "nothing", "backend"), "80", Protocol::Tcp).unwrap_err();
    assert_eq!(nothing.to_string(), "deploy/nothing.backend has no endpoint");
}

#[test]
fn through_the_api_server_every_ready_pod_is_an_end_and_udp_has_none() {
    let scene = Scene::new().by(Means::Api);
    assert_eq!(scene.ways("echo", "tcp", Protocol::Tcp), ["10.42.0.2:9999 of pod-10-42-0-2"]);
    let by_workload = scene.resolve(key(Kind::Deployment, "echo", "backend"), "80", Protocol::Tcp);
    assert_eq!(ways(by_workload), ["10.42.0.2:80 of echo-6d4f68dbd7-k8vdx"]);
    assert_eq!(scene.service("echo", "udp", Protocol::Udp), Err(NoBackend::UdpByApi));
    let mut bare = sample::service(Exposure::ClusterIp, Some("10.43.0.1"), vec![port("https 443", Protocol::Tcp)]);
    bare.endpoints[0].pod = None;
    let object = key(Kind::Service, "bare", "backend");
    let no_pod = Scene::with("bare", bare).by(Means::Api).service("bare", "https", Protocol::Tcp);
    assert_eq!(no_pod, Err(NoBackend::NoPod { object }));
}

/// A Service of this form whose endpoints have these addresses.
fn leading_to(cluster_ip: Option<&str>, node_port: bool, addresses: &[&str]) -> Scene {
    let port = port(if node_port { "http 80 30080" } else { "http 80" }, Protocol::Tcp);
    let mut web = service(Exposure::ClusterIp, cluster_ip, vec![port]);
    web.endpoints = addresses.iter().map(|address| endpoint(address, NODE, &web.ports)).collect();
    Scene::with("web", web)
}

#[test]
fn an_endpoint_with_an_address_of_the_host_is_not_led_to() {
    let said = |address: &str, routes: Means| {
        leading_to(None, false, &[address]).by(routes).service("web", "http", Protocol::Tcp).unwrap_err().to_string()
    };
    let cases = [
        ("172.20.0.1", "it is the gateway of the cluster's network"),
        ("192.168.1.7", "it is an address of the host"),
        ("127.0.0.1", "it is a loopback address"),
        ("::ffff:127.0.0.1", "it is a loopback address"),
        ("169.254.169.254", "it is a link-local address"),
        ("0.0.0.0", "it is an unspecified address"),
        ("224.0.0.1", "it is a multicast address"),
    ];
    for (address, why) in cases {
        for routes in [ROUTES, NO_ROUTES] {
            assert_eq!(said(address, routes), format!("cannot lead to {address} of svc/web.backend: {why}"));
        }
    }
}

#[test]
fn the_other_endpoints_are_led_to_though_kube_proxy_would_lead_to_all() {
    for (cluster_ip, node_port) in [(None, false), (Some("10.43.7.7"), false), (Some("10.43.7.7"), true)] {
        let scene = leading_to(cluster_ip, node_port, &["192.168.1.7", "10.42.0.9"]);
        assert_eq!(scene.ways("web", "http", Protocol::Tcp), ["10.42.0.9:80 via 172.20.0.2"]);
        let target = Target::Object { object: key(Kind::Service, "web", "backend"), port: "http".parse().unwrap() };
        let forbidden = scene.view(|view| view.forbidden(&target));
        assert_eq!(forbidden, [(ip("192.168.1.7"), Forbidden::Host)].into());
        let only = leading_to(cluster_ip, node_port, &["192.168.1.7"]);
        let why = only.service("web", "http", Protocol::Tcp).unwrap_err();
        assert!(matches!(why, NoBackend::Forbidden { because: Forbidden::Host, .. }), "{why}");
    }
}

#[test]
fn a_service_or_a_load_balancer_with_an_address_of_the_host_is_not_led_to() {
    let scene = leading_to(Some("192.168.1.7"), false, &["10.42.0.9"]);
    let why = scene.service("web", "http", Protocol::Tcp).unwrap_err().to_string();
    assert_eq!(why, "cannot lead to 192.168.1.7 of svc/web.backend: it is an address of the host");
    let mut web = service(Exposure::LoadBalancer, Some("10.43.7.7"), vec![port("http 80", Protocol::Tcp)]);
    web.ingress = vec![ip("192.168.1.7"), ip("127.0.0.1")];
    assert_eq!(Scene::with("web", web).ways("web", "http", Protocol::Tcp), ["10.43.7.7:80 via 172.20.0.2"]);
}

#[test]
fn a_pod_with_an_address_of_the_host_is_not_led_to_and_one_with_that_of_its_node_is() {
    let mut scene = Scene::new();
    let echo = || key(Kind::Deployment, "echo", "backend");
    let mut give = |address: &str| {
        scene.objects.pods.get_mut(&echo()).unwrap()[0].address = Some(ip(address));
        scene.resolve(echo(), "80", Protocol::Tcp)
    };
    assert_eq!(ways(give("172.20.0.2")), ["172.20.0.2:80 by node"]);
    let why = give("172.20.0.1").unwrap_err().to_string();
    assert_eq!(why, "cannot lead to 172.20.0.1 of deploy/echo.backend: it is the gateway of the cluster's network");
}

#[test]
fn through_the_api_server_no_address_is_dialled_and_none_is_forbidden() {
    let scene = leading_to(None, false, &["127.0.0.1"]).by(Means::Api);
    assert_eq!(scene.ways("web", "http", Protocol::Tcp), ["127.0.0.1:80 of pod-127-0-0-1"]);
    let target = Target::Object { object: key(Kind::Service, "web", "backend"), port: "http".parse().unwrap() };
    assert!(scene.view(|view| view.forbidden(&target)).is_empty());
}

proptest::proptest! {
    #[test]
    fn no_backend_of_any_object_has_an_address_of_the_host(
        bits in proptest::collection::vec(proptest::num::u32::ANY, 1..4),
        special in proptest::sample::subsequence(
            vec!["127.0.0.1", "172.20.0.1", "192.168.1.7", "::1", "::ffff:192.168.1.7", "0.0.0.0"], 1..4,
        ),
        cluster_ip in proptest::option::of(proptest::sample::select(vec!["10.43.7.7", "127.0.0.1", "192.168.1.7"])),
        node_port: bool,
        routes: bool,
    ) {
        let any: Vec<String> = bits.into_iter().map(|bits| std::net::Ipv4Addr::from_bits(bits).to_string()).collect();
        let addresses: Vec<&str> = any.iter().map(String::as_str).chain(special).collect();
        let mut scene = leading_to(cluster_ip, node_port, &addresses).by(Means::Network { routes });
        let pod = scene.objects.pods[&key(Kind::Deployment, "echo", "backend")][0].clone();
        let pods = addresses.iter().map(|address| crate::kubernetes::Pod { address: Some(ip(address)), ..pod.clone() });
        scene.objects.pods.insert(key(Kind::Deployment, "web", "backend"), pods.collect());
        for kind in [Kind::Service, Kind::Deployment] {
            for backend in scene.resolve(key(kind, "web", "backend"), "80", Protocol::Tcp).into_iter().flatten() {
                proptest::prop_assert_eq!(scene.own.forbid(backend.address.ip()), None);
            }
        }
    }
}
