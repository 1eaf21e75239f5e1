//! Backends within the cluster, with a node as router.

use portgate_kernel::{Datapath, Place, clean};

use crate::lab::{self, BRIDGE, Lab, Net, identity, place, shell, table, tcp, udp};

/// The mark that portgate-network-lab had when all bits below the first byte were free.
const FORMER: &str = "0x706275bc";

/// A lab with a second bridge, and a node behind each that has the Service address 10.43.0.10. The host expects answers
/// only where it would send to, and has no route to that address.
fn two_clusters() -> (Lab, Net) {
    let lab = Lab::new().node(2, "node");
    lab.host.shell(
        "ip link add br-two type bridge; ip addr add 172.31.0.1/24 dev br-two; ip link set br-two up
         for i in all br-one br-two; do echo 1 > /proc/sys/net/ipv4/conf/$i/rp_filter; done",
    );
    let second = lab.attach("br-two", "second", "172.31.0.2/24", "172.31.0.1");
    for (node, name) in [(lab.at(0), "one"), (&second, "two")] {
        node.shell("ip addr add 10.43.0.10/32 dev lo");
        node.echo(name, "10.43.0.10", 53);
    }
    (lab, second)
}

#[test]
fn two_clusters_have_the_same_service_address() {
    if !lab::may_run() {
        return;
    }
    let (lab, _second) = two_clusters();
    lab.host.run(|| {
        let before = (lab::everything(BRIDGE), lab::everything("br-two"));
        let mut one = Datapath::start(identity("one"), place()).unwrap();
        let mut two = Datapath::start(identity("two"), Place::Host { bridge: "br-two".to_owned() }).unwrap();
        for round in 0..2 {
            let via_one = &["10.43.0.10:53 via 172.30.0.2"][..];
            let via_two = &["10.43.0.10:53 via 172.31.0.2"][..];
            one.apply(&table(&[("127.0.0.1:5301/tcp", via_one), ("0.0.0.0:5301/udp", via_one)])).unwrap();
            two.apply(&table(&[("127.0.0.1:5302/tcp", via_two), ("127.0.0.1:5302/udp", via_two)])).unwrap();
            assert_eq!(tcp("127.0.0.1:5301").unwrap(), "one hello", "{round}");
            assert_eq!(udp("192.168.77.1:5301").unwrap(), "one hello");
            assert_eq!(tcp("127.0.0.1:5302").unwrap(), "two hello");
            assert_eq!(udp("127.0.0.1:5302").unwrap(), "two hello");
            // Without mappings there are no routes, and no rule.
            one.apply(&table(&[])).unwrap();
            assert!(!shell("ip rule").contains(&format!("{:#x}", identity("one").mark())));
        }
        one.end().unwrap();
        two.end().unwrap();
        assert_eq!((lab::everything(BRIDGE), lab::everything("br-two")), before);
    });
}

#[test]
fn a_router_that_moved_is_followed() {
    if !lab::may_run() {
        return;
    }
    let (lab, _second) = two_clusters();
    let mut path = lab.datapath();
    lab.host.run(|| {
        path.apply(&table(&[("127.0.0.1:5301/udp", &["10.43.0.10:53 via 172.30.0.2"])])).unwrap();
        assert_eq!(udp("127.0.0.1:5301").unwrap(), "one hello");
        lab.at(0).shell("ip addr add 172.30.0.7/24 dev eth0; ip addr del 172.30.0.2/24 dev eth0; ip addr add 172.30.0.7/24 dev eth0 || true; ip route replace default via 172.30.0.1");
        path.apply(&table(&[("127.0.0.1:5301/udp", &["10.43.0.10:53 via 172.30.0.7"])])).unwrap();
        assert_eq!(udp("127.0.0.1:5301").unwrap(), "one hello");
    });
}

#[test]
fn a_mark_that_others_route_by_is_left_to_them() {
    if !lab::may_run() {
        return;
    }
    let (lab, _second) = two_clusters();
    let taken = identity("lab").mark();
    lab.host.run(|| {
        shell(&format!("ip rule add fwmark {taken} unreachable priority 7"));
        let before = lab::everything(BRIDGE);
        let mut path = Datapath::start(identity("lab"), place()).unwrap();
        path.apply(&table(&[("127.0.0.1:5301/tcp", &["10.43.0.10:53 via 172.30.0.2"])])).unwrap();
        assert_eq!(tcp("127.0.0.1:5301").unwrap(), "one hello");
        drop(path);
        assert!(shell("ip rule").contains("proto 112"));
        clean(&identity("lab"), Some(BRIDGE)).unwrap();
        assert_eq!(lab::everything(BRIDGE), before);
    });
}

#[test]
fn routes_by_a_former_mark_are_cleaned() {
    if !lab::may_run() {
        return;
    }
    let (lab, _second) = two_clusters();
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        for start in [false, true] {
            shell(&format!(
                "ip rule add fwmark {FORMER} lookup {FORMER} priority 1070 proto 112
                 ip route add 10.43.0.10 via 172.30.0.2 dev {BRIDGE} table {FORMER} proto 112"
            ));
            if start {
                Datapath::start(identity("lab"), place()).unwrap().end().unwrap();
            } else {
                clean(&identity("lab"), None).unwrap();
            }
            assert_eq!(lab::everything(BRIDGE), before);
        }
    });
}
