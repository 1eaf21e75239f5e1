//! A gate in a container's network.

use portgate_core::control::Detail;
use portgate_kernel::{Datapath, Error, Place};

use crate::lab::{self, Lab, Net, identity, local, shell, table, tcp, udp};

/// A node, and a gate's network beside it on the bridge.
fn beside_a_node() -> (Lab, Net) {
    let lab = Lab::new().node(2, "node");
    let gate = lab.attach(lab::BRIDGE, "gate", "172.30.0.9/24", "172.30.0.1");
    gate.shell("echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter");
    (lab, gate)
}

#[test]
fn what_arrives_in_a_container_is_led_on() {
    if !lab::may_run() {
        return;
    }
    let (lab, gate) = beside_a_node();
    lab.at(0).shell("ip addr add 10.43.0.10/32 dev lo");
    lab.at(0).echo("service", "10.43.0.10", 53);
    gate.shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
    let before = gate.run(|| lab::everything("eth0"));
    let mut path = gate.run(|| Datapath::start(identity("lab"), Place::Container).unwrap());
    gate.run(|| {
        let service = &["10.43.0.10:53 via 172.30.0.2"][..];
        path.apply(&table(&[
            ("127.0.0.1:8080/tcp", &["172.30.0.2:80"]),
            ("::1:8080/udp", &["172.30.0.2:80"]),
            ("0.0.0.0:5353/udp", service),
            ("0.0.0.0:5353/tcp", service),
        ]))
        .unwrap();
    });
    lab.host.run(|| {
        assert_eq!(tcp("172.30.0.9:8080").unwrap(), "node hello");
        assert_eq!(udp("172.30.0.9:8080").unwrap(), "node hello");
        assert_eq!(tcp("172.30.0.9:5353").unwrap(), "service hello");
        assert_eq!(udp("172.30.0.9:5353").unwrap(), "service hello");
    });
    let counters = gate.run(|| path.counters(Detail::Whole)).unwrap();
    assert_eq!(counters[&local("::1:8080/udp")].datagrams_in, 1);
    assert_eq!(counters[&local("127.0.0.1:8080/tcp")].connections_total, 1);
    gate.run(|| path.end()).unwrap();
    assert_eq!(gate.run(|| lab::everything("eth0")), before);
}

#[test]
fn a_container_that_does_not_forward_is_refused() {
    if !lab::may_run() {
        return;
    }
    let (_lab, gate) = beside_a_node();
    gate.run(|| {
        shell("echo 0 > /proc/sys/net/ipv4/ip_forward");
        assert!(matches!(Datapath::start(identity("lab"), Place::Container), Err(Error::NotForwarding)));
        assert_eq!(shell("nft list ruleset"), "");
    });
}
