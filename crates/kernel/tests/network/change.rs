//! What a change moves, ends and leaves alone.

use std::net::UdpSocket;

use crate::lab::{self, BRIDGE, Lab, ask, connect, identity, local, say, shell, table, tcp};
use portgate_core::control::Detail;

fn session(end: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(end).unwrap();
    socket
}

#[test]
fn a_running_udp_flow_moves_with_its_mapping() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "one").node(3, "two");
    let mut path = lab.datapath();
    lab.host.run(|| {
        let (one, two) = (&["172.30.0.2:80"][..], &["172.30.0.3:80"][..]);
        path.apply(&table(&[("127.0.0.1:8080/udp", one), ("0.0.0.0:8081/udp", one)])).unwrap();
        let (moved, stays) = (session("127.0.0.1:8080"), session("127.0.0.1:8081"));
        for flow in [&moved, &stays] {
            assert_eq!(ask(flow, "hello", lab::PATIENCE).unwrap(), "one hello");
        }
        path.apply(&table(&[("127.0.0.1:8080/udp", two), ("0.0.0.0:8081/udp", one)])).unwrap();
        assert_eq!(ask(&moved, "hello", lab::PATIENCE).unwrap(), "two hello");
        assert_eq!(ask(&stays, "hello", lab::PATIENCE).unwrap(), "one hello");
        // Had its entry been deleted, the other mapping's flow would have begun anew.
        let counters = path.counters(Detail::Whole).unwrap();
        assert_eq!(counters[&local("127.0.0.1:8080/udp")].sessions_total, 2);
        assert_eq!(counters[&local("0.0.0.0:8081/udp")].sessions_total, 1);
        path.apply(&table(&[("127.0.0.1:8080/udp", two), ("0.0.0.0:8081/udp", two)])).unwrap();
        assert_eq!(ask(&stays, "hello", lab::PATIENCE).unwrap(), "two hello");
    });
}

#[test]
fn a_connection_that_has_no_answer_yet_moves_and_others_stay() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "one").node(3, "two");
    lab.at(0).shell("nft 'add table ip t; add chain ip t c { type filter hook input priority 0; }'");
    let mut path = lab.datapath();
    lab.host.run(|| {
        let both = &["172.30.0.2:80", "172.30.0.3:80"][..];
        path.apply(&table(&[("127.0.0.1:8080/tcp", &both[..1])])).unwrap();
        let mut early = connect("127.0.0.1:8080").unwrap();
        assert_eq!(say(&mut early, "hello").unwrap(), "one hello");
        // From now on new connections to the first node get no answer.
        lab.at(0).shell("nft add rule ip t c 'tcp flags & (syn | ack) == syn drop'");
        let pending = lab.host.spawn(|| tcp("127.0.0.1:8080"));
        lab::eventually(|| {
            let counters = path.counters(Detail::Whole).unwrap();
            counters[&local("127.0.0.1:8080/tcp")].connections_total == 2
        });
        path.apply(&table(&[("127.0.0.1:8080/tcp", &both[1..])])).unwrap();
        assert_eq!(pending.join().unwrap().unwrap(), "two hello");
        assert_eq!(say(&mut early, "again").unwrap(), "one again");
    });
}

#[test]
fn closing_ends_the_connections_of_that_mapping_only() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    lab.host.run(|| {
        let to_node = &["172.30.0.2:80"][..];
        path.apply(&table(&[("127.0.0.1:8080/tcp", to_node), ("0.0.0.0:8081/tcp", to_node)])).unwrap();
        let mut ends: Vec<_> =
            ["127.0.0.1:8080", "127.0.0.1:8081", "172.30.0.2:80"].map(|end| connect(end).unwrap()).into();
        for stream in &mut ends {
            assert_eq!(say(stream, "hello").unwrap(), "node hello");
        }
        path.apply(&table(&[("0.0.0.0:8081/tcp", to_node)])).unwrap();
        assert!(say(&mut ends[0], "hello").is_err());
        assert_eq!(say(&mut ends[1], "hello").unwrap(), "node hello");
        assert_eq!(say(&mut ends[2], "hello").unwrap(), "node hello");
        assert_eq!(path.counters(Detail::Whole).unwrap()[&local("0.0.0.0:8081/tcp")].connections_total, 1);
        path.apply(&table(&[])).unwrap();
        assert!(say(&mut ends[1], "hello").is_err());
        assert_eq!(say(&mut ends[2], "hello").unwrap(), "node hello");
    });
}

#[test]
fn a_running_udp_flow_moves_from_the_relay_to_the_kernel_and_back() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.echo("relay", "127.0.0.1", 8080);
    let mut path = lab.datapath();
    lab.host.run(|| {
        let flow = session("127.0.0.1:8080");
        path.apply(&table(&[("127.0.0.1:8080/udp", &[])])).unwrap();
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "relay hello");
        path.apply(&table(&[("127.0.0.1:8080/udp", &["172.30.0.2:80"])])).unwrap();
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "node hello");
        path.apply(&table(&[("127.0.0.1:8080/udp", &[])])).unwrap();
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "relay hello");
    });
}

#[test]
fn a_flow_that_a_killed_gate_led_elsewhere_moves() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "one").node(3, "two");
    let mut path = lab.datapath();
    // Docker's rules stay when a gate's go, and so do connection tracking and the translation of running flows.
    lab.host.shell(
        "nft 'add table ip other; add chain ip other nat { type nat hook output priority 0; }
         add chain ip other filter { type filter hook output priority 0; }
         add rule ip other filter ct state invalid drop'",
    );
    lab.host.run(|| {
        path.apply(&table(&[("127.0.0.1:8080/udp", &["172.30.0.2:80"])])).unwrap();
        let flow = session("127.0.0.1:8080");
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "one hello");
        drop(path);
        // A process that another test is just starting has the socket as well, for a moment.
        lab::eventually(|| !shell("nft list tables").contains(identity("lab").table()));
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "one hello");
        let mut path = lab.datapath();
        path.apply(&table(&[("127.0.0.1:8080/udp", &["172.30.0.3:80"])])).unwrap();
        assert_eq!(ask(&flow, "hello", lab::PATIENCE).unwrap(), "two hello");
    });
}

#[test]
fn a_mapping_of_all_addresses_leaves_flows_to_other_machines_alone() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node").node(3, "other");
    // A firewall that lets in nothing from the bridge but answers.
    lab.host.shell(&format!(
        "nft 'add table ip other; add chain ip other input {{ type filter hook input priority 0; }}
         add rule ip other input iifname {BRIDGE} ct state new drop'"
    ));
    let resolver = lab.at(1).run(|| UdpSocket::bind("172.30.0.3:53").unwrap());
    resolver.set_read_timeout(Some(lab::PATIENCE)).unwrap();
    let mut path = lab.datapath();
    lab.host.run(|| {
        let query = UdpSocket::bind("172.30.0.1:0").unwrap();
        query.connect("172.30.0.3:53").unwrap();
        query.set_read_timeout(Some(lab::PATIENCE)).unwrap();
        query.send(b"query").unwrap();
        let (_, client) = resolver.recv_from(&mut [0; 16]).unwrap();
        path.apply(&table(&[("0.0.0.0:53/udp", &["172.30.0.2:80"])])).unwrap();
        resolver.send_to(b"answer", client).unwrap();
        assert_eq!(query.recv(&mut [0; 16]).unwrap(), 6, "the flow is forgotten");
        assert_eq!(ask(&session("127.0.0.1:53"), "hello", lab::PATIENCE).unwrap(), "node hello");
    });
}
