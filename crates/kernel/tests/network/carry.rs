//! Which packets the kernel carries, and where to.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::UdpSocket;
use std::time::Instant;

use portgate_core::control::Detail;
use portgate_kernel::elements::Elements;
use portgate_kernel::plan::Plan;
use portgate_kernel::ruleset::Ruleset;
use portgate_kernel::{Datapath, Place};

use crate::lab::{self, Lab, ask, connect, identity, local, place, say, shell, table, tcp, udp};

#[test]
fn tcp_and_udp_on_loopback_reach_the_node() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    lab.host.run(|| {
        path.apply(&table(&[
            ("127.0.0.1,::1:8080/tcp", &["172.30.0.2:80"]),
            ("127.0.0.1,::1:8080/udp", &["172.30.0.2:80"]),
        ]))
        .unwrap();
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        assert_eq!(udp("127.0.0.1:8080").unwrap(), "node hello");
    });
}

#[test]
fn the_wildcard_means_all_addresses_of_the_host_but_no_other_machines() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let neighbour = lab.attach("outside", "lan", "192.168.77.2/24", "192.168.77.1");
    lab.host.echo("relay", "0.0.0.0", 8080);
    let mut path = lab.datapath();
    lab.host.run(|| {
        let to_node = &["172.30.0.2:80"][..];
        path.apply(&table(&[("0.0.0.0:8080/tcp", to_node), ("0.0.0.0:8080/udp", to_node)])).unwrap();
        for end in ["127.0.0.1:8080", "127.9.9.9:8080", "192.168.77.1:8080", "172.30.0.1:8080"] {
            assert_eq!((tcp(end).unwrap(), udp(end).unwrap()), ("node hello".to_owned(), "node hello".to_owned()));
        }
    });
    neighbour.run(|| {
        assert_eq!(tcp("192.168.77.1:8080").unwrap(), "relay hello");
        assert_eq!(udp("192.168.77.1:8080").unwrap(), "relay hello");
    });
}

#[test]
fn several_backends_share_the_connections() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "one").node(3, "two").node(4, "three");
    let mut path = lab.datapath();
    let answers =
        |end| (0..80).map(|_| tcp(end).unwrap()).collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>();
    lab.host.run(|| {
        let all = &["172.30.0.2:80", "172.30.0.3:80", "172.30.0.4:80"][..];
        path.apply(&table(&[("127.0.0.1:8080/tcp", all), ("0.0.0.0:8081/tcp", all)])).unwrap();
        for end in ["127.0.0.1:8080", "192.168.77.1:8081"] {
            assert_eq!(answers(end), ["one hello", "three hello", "two hello"]);
        }
        path.apply(&table(&[("127.0.0.1:8080/tcp", &all[..2]), ("0.0.0.0:8081/tcp", &all[2..])])).unwrap();
        assert_eq!(answers("127.0.0.1:8080"), ["one hello", "two hello"]);
        assert_eq!(answers("127.0.0.1:8081"), ["three hello"]);
    });
}

#[test]
fn two_gates_have_the_same_port_on_different_addresses() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "one").node(3, "two");
    lab.host.run(|| {
        let mut one = Datapath::start(identity("one"), place()).unwrap();
        let mut two = Datapath::start(identity("two"), place()).unwrap();
        one.apply(&table(&[("127.0.0.1:8080/tcp", &["172.30.0.2:80"])])).unwrap();
        two.apply(&table(&[("127.0.0.2:8080/tcp", &["172.30.0.3:80"])])).unwrap();
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "one hello");
        assert_eq!(tcp("127.0.0.2:8080").unwrap(), "two hello");
        // They share a bridge, and the one that ends leaves it as the other needs it.
        one.end().unwrap();
        assert!(two.is_set() && !two.mend().unwrap());
        assert_eq!(tcp("127.0.0.2:8080").unwrap(), "two hello");
        two.end().unwrap();
    });
}

#[test]
fn counters_tell_flows_datagrams_and_payload() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    lab.host.run(|| {
        let to_node = &["172.30.0.2:80"][..];
        path.apply(&table(&[("127.0.0.1:8080/tcp", to_node), ("0.0.0.0:8081/udp", to_node)])).unwrap();
        let mut stream = connect("127.0.0.1:8080").unwrap();
        assert_eq!(say(&mut stream, "hello").unwrap(), "node hello");
        let sink = std::thread::spawn({
            let mut stream = stream.try_clone().unwrap();
            move || std::io::copy(&mut stream, &mut std::io::sink())
        });
        stream.write_all(&vec![0; 1_000_000]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        sink.join().unwrap().unwrap();
        let session = UdpSocket::bind("127.0.0.1:0").unwrap();
        session.connect("127.0.0.1:8081").unwrap();
        for _ in 0..3 {
            ask(&session, &"x".repeat(100), lab::PATIENCE).unwrap();
        }
        let open = connect("127.0.0.1:8080").unwrap();
        let counters = path.counters(Detail::Whole).unwrap();
        let tcp = &counters[&local("127.0.0.1:8080/tcp")];
        assert_eq!((tcp.connections_total, tcp.connections_open), (2, 1), "{tcp:?}");
        assert!((1_000_005..1_010_000).contains(&tcp.bytes_in), "{tcp:?}");
        assert!((1_000_010..1_100_000).contains(&tcp.bytes_out), "{tcp:?}");
        let udp = &counters[&local("0.0.0.0:8081/udp")];
        assert_eq!((udp.sessions_total, udp.sessions_open), (1, 1), "{udp:?}");
        assert_eq!((udp.datagrams_in, udp.bytes_in), (3, 300), "{udp:?}");
        assert_eq!((udp.datagrams_out, udp.bytes_out), (3, 315), "{udp:?}");
        drop(open);
    });
}

#[test]
fn what_is_applied_is_what_nft_lists() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    let wanted = table(&[
        ("127.0.0.1:8080/tcp", &["172.30.0.2:80"]),
        ("127.0.0.1:8081/udp", &["172.30.0.2:80", "172.30.0.3:80"]),
        ("0.0.0.0:8082/tcp", &["10.43.0.10:80 via 172.30.0.2"]),
    ]);
    lab.host.run(|| {
        for place in [place(), Place::Container] {
            let mut path = Datapath::start(identity("lab"), place.clone()).unwrap();
            path.apply(&wanted).unwrap();
            let listed =
                shell(&format!("nft --stateless --numeric-priority list table ip {}", identity("lab").table()));
            let ruleset = Ruleset::new(identity("lab"), &place);
            let elements = Elements::new(&Plan::new(&place, &wanted));
            assert_eq!(parts(&listed), parts(&ruleset.with(&elements).to_string()));
            path.end().unwrap();
        }
    });
}

/// Lines of a listing without what is not ours to say, or has no order.
fn parts(listing: &str) -> BTreeSet<String> {
    let lines = listing.lines().map(|line| line.split('#').next().unwrap_or_default());
    let lines = lines.map(|line| line.replace(" counter", "").replace("elements = {", ""));
    let lines = lines.map(|line| line.trim().trim_end_matches([',', '}', ' ']).to_owned());
    lines.filter(|line| line != "flags owner" && !line.is_empty()).collect()
}

#[test]
fn a_thousand_mappings_are_one_change() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    let ends: Vec<String> = (10_000..11_000).map(|port| format!("127.0.0.1:{port}/tcp")).collect();
    let many: Vec<(&str, &[&str])> = ends.iter().map(|end| (end.as_str(), &["172.30.0.2:80"][..])).collect();
    lab.host.run(|| {
        for (what, wanted) in [("add", table(&many)), ("change nothing", table(&many)), ("remove", table(&[]))] {
            let begin = Instant::now();
            path.apply(&wanted).unwrap();
            println!("{what}, 1,000 mappings: {:?}", begin.elapsed());
            assert_eq!(tcp("127.0.0.1:10999").is_ok(), !wanted.is_empty());
        }
    });
}
