use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::host_port;
use crate::kubernetes::sample::objects;
use crate::port::Protocol;

fn assign(text: &str, objects: &Objects, is_free: impl FnMut(&Local) -> bool) -> Result<Vec<Mapping>, TargetError> {
    let ground = Ground { addresses: &HostAddresses::loopback(), namespace: "backend", objects };
    let wanted = PortSpec::parse(text).unwrap().wanted(ground)?;
    Ok(host_port::assign(wanted, &[], is_free).unwrap())
}

fn meaning(text: &str) -> Vec<String> {
    let mappings = assign(text, &Objects::default(), |_| true).unwrap();
    mappings.iter().map(ToString::to_string).collect()
}

fn refusal(text: &str) -> String {
    let error = PortSpec::parse(text).unwrap_err();
    format!("{error}\nhint: {}", error.hint())
}

#[test]
fn a_port_alone_is_a_tcp_node_port_on_localhost() {
    assert_eq!(meaning("30999"), ["localhost:30999/tcp -> 30999"]);
}

#[test]
fn host_port_and_address_come_before_the_target() {
    assert_eq!(meaning("8080:30080"), ["localhost:8080/tcp -> 30080"]);
    assert_eq!(meaning("127.0.0.1:8080:30080/udp"), ["127.0.0.1:8080/udp -> 30080"]);
    assert_eq!(meaning("[::1]:8080:30080"), ["[::1]:8080/tcp -> 30080"]);
    assert_eq!(meaning("0.0.0.0:30080"), ["0.0.0.0:30080/tcp -> 30080"]);
    assert_eq!(meaning("localhost:30080"), ["localhost:30080/tcp -> 30080"]);
}

#[test]
fn both_protocols_and_ranges_are_many_mappings() {
    assert_eq!(meaning("53:30053/tcp+udp"), ["localhost:53/tcp -> 30053", "localhost:53/udp -> 30053"]);
    assert_eq!(meaning("8000-8001:30000-30001"), ["localhost:8000/tcp -> 30000", "localhost:8001/tcp -> 30001"]);
    assert_eq!(meaning("1-65535").len(), 65_535);
}

#[test]
fn a_container_port_names_its_container() {
    assert_eq!(meaning("node/k3d-c-server-0:6443"), ["localhost:6443/tcp -> node/k3d-c-server-0:6443"]);
    assert_eq!(meaning("16443:node/my_node.1:6443"), ["localhost:16443/tcp -> node/my_node.1:6443"]);
}

#[test]
fn services_pods_and_workloads_are_read_by_all_their_names() {
    for (text, printed) in [
        ("8080:svc/web.shop:http", "8080:svc/web.shop:http"),
        ("svc/web", "svc/web"),
        ("svc/web:80/udp", "svc/web:80/udp"),
        ("pod/web-0.shop:8080", "pod/web-0.shop:8080"),
        ("deployment/web:http", "deploy/web:http"),
        ("sts/db.shop:5432", "sts/db.shop:5432"),
        ("daemonsets/log:80", "ds/log:80"),
        ("127.0.0.1:8080:service/web:http", "127.0.0.1:8080:svc/web:http"),
    ] {
        assert_eq!(PortSpec::parse(text).unwrap().to_string(), printed);
    }
}

fn service_meaning(text: &str) -> Vec<String> {
    assign(text, &objects(), |_| true).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn protocols_and_host_ports_of_a_service_are_those_that_it_has() {
    assert_eq!(service_meaning("svc/internal"), ["localhost:9999/tcp -> svc/internal.backend:9999"]);
    assert_eq!(service_meaning("8080:svc/echo:http"), ["localhost:8080/tcp -> svc/echo.backend:http"]);
    assert_eq!(service_meaning("svc/echo:udp"), ["localhost:30998/udp -> svc/echo.backend:udp"]);
    let both = ["localhost:30521/tcp -> svc/echo.backend:5201", "localhost:30521/udp -> svc/echo.backend:5201"];
    assert_eq!(service_meaning("svc/echo.backend:5201"), both);
    assert_eq!(service_meaning("svc/echo:5201/udp"), both[1..]);
    assert_eq!(service_meaning("svc/kubernetes.default"), ["localhost:30043/tcp -> svc/kubernetes.default:443"]);
}

#[test]
fn pods_have_the_ports_that_they_declare_and_every_number() {
    assert_eq!(service_meaning("deploy/echo:tcp-echo"), ["localhost:9999/tcp -> deploy/echo.backend:tcp-echo"]);
    assert_eq!(service_meaning("deploy/echo:7777/udp"), ["localhost:7777/udp -> deploy/echo.backend:7777"]);
}

fn target_refusal(text: &str) -> String {
    let error = assign(text, &objects(), |_| true).unwrap_err();
    format!("{error}\nhint: {}", error.hint())
}

#[test]
fn targets_that_there_are_not_say_what_there_is() {
    assert_snapshot!(target_refusal("svc/ecko"), @"
    there is no Service ecko in namespace backend
    hint: `kubectl get services -n backend` lists those that there are
    ");
    assert_snapshot!(target_refusal("svc/echo"), @"
    svc/echo.backend has several ports: 9999/tcp (tcp), 9998/udp (udp), 5201/tcp (iperf), 5201/udp (iperfu), 80/tcp (http)
    hint: name one of them, as svc/echo.backend:9999
    ");
    assert_snapshot!(target_refusal("svc/echo:htpp"), @"
    svc/echo.backend has no port htpp
    hint: did you mean http?
    ");
    assert_snapshot!(target_refusal("svc/echo:81"), @"
    svc/echo.backend has no port 81
    hint: its ports are 9999/tcp (tcp), 9998/udp (udp), 5201/tcp (iperf), 5201/udp (iperfu), 80/tcp (http)
    ");
    assert_snapshot!(target_refusal("svc/internal/udp"), @"
    port 9999 of svc/internal.backend is not udp
    hint: its ports are 9999/tcp (tcp)
    ");
    assert_snapshot!(target_refusal("svc/outside"), @"
    svc/outside.backend is an ExternalName: it leads to example.org, outside of the cluster
    hint: connect to example.org itself
    ");
    assert_snapshot!(target_refusal("deploy/echo:udp-ecko/udp"), @"
    deploy/echo.backend has no port udp-ecko
    hint: did you mean udp-echo?
    ");
    assert_snapshot!(target_refusal("deploy/nothing:http"), @"
    deploy/nothing.backend has no port http
    hint: name the port by its number
    ");
}

#[test]
fn errors_point_at_the_place() {
    assert_snapshot!(refusal("70000"), @"
    `70000`: not a port: ports are 1 to 65535
      70000
      ^^^^^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp
    ");
    assert_snapshot!(refusal("8080:0/tcp"), @"
    `0`: not a port: ports are 1 to 65535
      8080:0/tcp
           ^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp
    ");
    assert_snapshot!(refusal("30020-30000"), @"
    `30020-30000`: the range is reversed: the first port is above the last
      30020-30000
      ^^^^^^^^^^^
    hint: write the lower port first, as 30000-30020
    ");
    assert_snapshot!(refusal("8000-8001:30000-30009"), @"
    `30000-30009`: the ranges differ in length: 2 on the host, 10 at the target
      8000-8001:30000-30009
                ^^^^^^^^^^^
    hint: give both ranges the same length, as 8000-8020:30000-30020, or name one only
    ");
    assert_snapshot!(refusal("30999/sctp"), @"
    `sctp`: not a protocol
      30999/sctp
            ^^^^
    hint: the protocols are tcp, udp and tcp+udp, as 30998/udp
    ");
    assert_snapshot!(refusal("300.0.0.1:80:80"), @"
    `300.0.0.1`: not an IP address
      300.0.0.1:80:80
      ^^^^^^^^^
    hint: an address is written 127.0.0.1, [::1] or localhost
    ");
    assert_snapshot!(refusal("::1:8080:30080"), @"
    `::1:8080:30080`: an IPv6 address needs brackets
      ::1:8080:30080
      ^^^^^^^^^^^^^^
    hint: write it as [::1]:8080:30080
    ");
    assert_snapshot!(refusal("8080:ingress/web"), @"
    `ingress`: not a kind of target
      8080:ingress/web
           ^^^^^^^
    hint: the targets are PORT, FIRST-LAST, svc/NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE]:PORT (also deploy/, sts/, ds/) and node/CONTAINER:PORT
    ");
    assert_snapshot!(refusal("svc/Web"), @"
    `Web`: not a name: lower-case letters, digits and dashes, with a letter or digit at both ends
      svc/Web
          ^^^
    hint: Kubernetes' names are like web or web.shop, `kubectl get services -A` lists them
    ");
    assert_snapshot!(refusal("pod/web"), @"
    the target's port is missing
      pod/web
             ^
    hint: add the port, as pod/web.shop:8080 or node/k3d-mycluster-server-0:6443
    ");
    assert_snapshot!(refusal("8080:"), @"
    the target is missing
      8080:
           ^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp
    ");
}

#[test]
fn every_fault_has_its_kind() {
    for (text, kind) in [
        ("", SpecErrorKind::Empty),
        ("0", SpecErrorKind::Port),
        (":80", SpecErrorKind::Empty),
        ("80:", SpecErrorKind::Target),
        ("30999,30998", SpecErrorKind::Comma),
        ("http", SpecErrorKind::TargetKind),
        ("-1", SpecErrorKind::Port),
        ("+80", SpecErrorKind::Port),
        ("30000-", SpecErrorKind::Port),
        ("1:2:3", SpecErrorKind::Rest),
        ("fe80::1:80", SpecErrorKind::Brackets),
        ("[::g]:80", SpecErrorKind::Address),
        ("[::1]80", SpecErrorKind::Port),
        ("svc/", SpecErrorKind::Name),
        ("svc/web.", SpecErrorKind::Name),
        ("svc/web:99999", SpecErrorKind::Port),
        ("node/:80", SpecErrorKind::Container),
        ("node/n", SpecErrorKind::TargetPort),
        ("80/", SpecErrorKind::Protocol),
        ("8000-8001:svc/web", SpecErrorKind::Lengths { host: 2, target: 1 }),
        ("３０", SpecErrorKind::Port),
    ] {
        assert_eq!(PortSpec::parse(text).unwrap_err().kind, kind, "{text}");
    }
}

#[test]
fn a_selector_matches_what_it_does_not_say() {
    let local = |protocol| Local { addresses: HostAddresses::loopback(), port: Port::new(30998).unwrap(), protocol };
    let matches = |text: &str, protocol| Selector::parse(text).unwrap().matches(&local(protocol));
    assert!(matches("30998", Protocol::Udp) && matches("30998", Protocol::Tcp));
    assert!(matches("30998/udp", Protocol::Udp) && !matches("30998/udp", Protocol::Tcp));
    assert!(matches("30000-31000", Protocol::Udp) && !matches("30999", Protocol::Udp));
    assert!(matches("localhost:30998", Protocol::Udp) && matches("[::1]:30998", Protocol::Udp));
    assert!(!matches("0.0.0.0:30998", Protocol::Udp));
    assert_eq!(Selector::parse("30998:80").unwrap_err().kind, SpecErrorKind::Rest);
}

fn port() -> impl Strategy<Value = Port> {
    (1..=u16::MAX).prop_map(|number| Port::new(number).unwrap())
}

fn bind() -> impl Strategy<Value = Bind> {
    prop_oneof![
        Just(Bind::Localhost),
        any::<IpAddr>()
            .prop_filter_map("nobody listens there", |address| listener(address).ok())
            .prop_map(Bind::Address)
    ]
}

fn protocols() -> impl Strategy<Value = Protocols> {
    prop_oneof![Just(Protocols::Tcp), Just(Protocols::Udp), Just(Protocols::Both)]
}

fn label() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?"
}

fn object_name() -> impl Strategy<Value = ObjectName> {
    (label(), proptest::option::of(label())).prop_map(|(name, namespace)| ObjectName { name, namespace })
}

fn port_name() -> impl Strategy<Value = PortName> {
    prop_oneof![port().prop_map(PortName::Number), "[a-z]([a-z0-9-]{0,10}[a-z0-9])?".prop_map(PortName::Name)]
}

/// A target and host ports that fit it.
fn ends() -> impl Strategy<Value = (Option<PortRange>, TargetSpec)> {
    let single = |target: TargetSpec| (proptest::option::of(port().prop_map(PortRange::single)), Just(target));
    let ranges = (1u16..=u16::MAX, 1u16..=u16::MAX, 0u16..1000, any::<bool>()).prop_map(|(a, b, length, host)| {
        let range = |first: u16| {
            let length = length.min(u16::MAX - a.max(b));
            PortRange::new(Port::new(first).unwrap(), Port::new(first + length).unwrap()).unwrap()
        };
        (host.then(|| range(a)), TargetSpec::NodePorts(range(b)))
    });
    let service = (object_name(), proptest::option::of(port_name()))
        .prop_flat_map(move |(name, port)| single(TargetSpec::Object { kind: Kind::Service, name, port }));
    let kinds = proptest::sample::select(&Kind::ALL[1..]);
    let pod = (kinds, object_name(), port_name().prop_map(Some))
        .prop_flat_map(move |(kind, name, port)| single(TargetSpec::Object { kind, name, port }));
    let node = ("[a-zA-Z0-9][a-zA-Z0-9_.-]{0,20}", port())
        .prop_flat_map(move |(container, port)| single(TargetSpec::Node { container, port }));
    prop_oneof![ranges, service, pod, node]
}

proptest! {
    #[test]
    fn display_and_parse_are_inverse(
        bind in proptest::option::of(bind()),
        (host, target) in ends(),
        protocols in proptest::option::of(protocols()),
    ) {
        let spec = PortSpec { bind, host, target, protocols };
        prop_assert_eq!(PortSpec::parse(&spec.to_string()).unwrap(), spec);
    }

    #[test]
    fn no_input_panics_and_errors_point_inside(text in any::<String>()) {
        if let Err(error) = PortSpec::parse(&text) {
            prop_assert!(text.get(error.at.clone()).is_some());
            prop_assert!(!error.to_string().is_empty());
        }
    }

    #[test]
    fn no_likely_input_panics(text in "[0-9a-f:./\\[\\]+-]{0,24}|(svc|pod|node)/[a-z0-9.:/-]{0,16}") {
        match PortSpec::parse(&text) {
            Ok(spec) => prop_assert_eq!(PortSpec::parse(&spec.to_string()).unwrap(), spec),
            Err(error) => prop_assert!(text.get(error.at).is_some()),
        }
    }
}

#[test]
fn an_address_that_nobody_can_connect_to_is_refused() {
    assert_snapshot!(refusal("224.0.0.1:53:30053/udp"), @r"
    `224.0.0.1`: cannot listen on a multicast address
      224.0.0.1:53:30053/udp
      ^^^^^^^^^
    hint: name one of this machine's addresses, as 127.0.0.1 or [::1]; `ip address` lists them, 0.0.0.0 stands for all
    ");
    for text in ["255.255.255.255:80", "[fe80::1]:80", "[ff02::1]:80:svc/web", "[::ffff:224.0.0.1]:80"] {
        assert!(matches!(PortSpec::parse(text).unwrap_err().kind, SpecErrorKind::Listener(_)), "{text}");
    }
    // What an older portgate has opened can be closed.
    assert!(Selector::parse("224.0.0.1:53").is_ok());
}

#[test]
fn what_a_terminal_obeys_is_escaped_and_the_mark_stands_under_the_place() {
    assert_snapshot!(refusal("\u{1b}[2J:30999\n/sctp"), @r"
    `\u{1b}[2J`: not a port: ports are 1 to 65535
      \u{1b}[2J:30999\n/sctp
      ^^^^^^^^^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp
    ");
}
