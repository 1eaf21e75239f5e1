//! What happens when others change the kernel's rules.

use std::time::Duration;

use portgate_kernel::{Datapath, Error, Watch};

use crate::lab::{self, BRIDGE, Lab, identity, place, shell, table, tcp};

const TO_NODE: &[&str] = &["172.30.0.2:80"];

#[test]
fn nobody_can_flush_a_table_that_has_an_owner() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    lab.host.run(|| {
        path.apply(&table(&[("127.0.0.1:8080/tcp", TO_NODE)])).unwrap();
        shell("nft add table ip other; nft flush ruleset");
        shell(&format!("! nft delete table ip {}", identity("lab").table()));
        assert!(!shell("nft list tables").contains("other"));
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        assert!(path.mend().unwrap(), "the guard that outlives the gate has no owner");
        assert!(!path.mend().unwrap());
    });
}

#[test]
fn a_table_without_an_owner_is_put_back_and_the_relay_serves_meanwhile() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.echo("relay", "127.0.0.1", 8080);
    lab.host.run(|| {
        let mut path = Datapath::start_shared(identity("lab"), place()).unwrap();
        path.apply(&table(&[("127.0.0.1:8080/tcp", TO_NODE)])).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = Watch::new().unwrap();
            for harm in ["nft flush ruleset", &format!("nft flush chain ip {} lead", identity("lab").table())] {
                assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
                shell(harm);
                assert_eq!(tcp("127.0.0.1:8080").unwrap(), "relay hello");
                tokio::time::timeout(lab::PATIENCE, watch.changed()).await.unwrap().unwrap();
                assert!(path.mend().unwrap());
                assert!(!path.mend().unwrap());
            }
            assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        });
        path.end().unwrap();
    });
}

#[test]
fn a_change_that_the_kernel_refuses_changes_nothing() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        let mut path = Datapath::start_shared(identity("lab"), place()).unwrap();
        path.apply(&table(&[("127.0.0.1:8080/tcp", TO_NODE)])).unwrap();
        shell("nft flush ruleset");
        let other = table(&[("127.0.0.1:8081/tcp", &["10.43.0.10:80 via 172.30.0.2"])]);
        assert!(matches!(path.apply(&other), Err(Error::Refused(_))));
        assert!(!shell("ip rule; ip route show table all").contains("10.43.0.10"));
        assert!(path.mend().unwrap());
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        assert!(tcp("127.0.0.1:8081").is_err());
    });
}

#[test]
fn settings_rule_and_routes_are_put_back() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    let mut path = lab.datapath();
    let mark = identity("lab").mark();
    lab.host.run(|| {
        path.apply(&table(&[("127.0.0.1:8080/tcp", &["10.43.0.10:80 via 172.30.0.2"])])).unwrap();
        let whole = lab::everything(BRIDGE);
        let guard = format!("portgate-guard-{BRIDGE}");
        for (harm, is_set) in [
            (format!("echo 0 > /proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet"), false),
            (format!("echo 0 > /proc/sys/net/ipv4/conf/{BRIDGE}/src_valid_mark"), false),
            (format!("ip rule del fwmark {mark}"), true),
            (format!("ip route flush table {mark}"), true),
            (format!("ip link set {BRIDGE} down; ip link set {BRIDGE} up"), true),
            (format!("nft delete table ip {guard}"), true),
            (format!("nft flush chain ip {guard} guard"), true),
        ] {
            shell(&harm);
            assert_eq!(path.is_set(), is_set, "{harm}");
            assert!(path.mend().unwrap(), "{harm}");
            assert_eq!(lab::everything(BRIDGE), whole, "{harm}");
            assert!(path.is_set() && !path.mend().unwrap(), "{harm}");
        }
    });
}

#[test]
fn a_bridge_that_is_gone_is_said_to_be() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    let mut path = lab.datapath();
    lab.host.run(|| {
        path.apply(&table(&[("127.0.0.1:8080/tcp", &["10.43.0.10:80 via 172.30.0.2"])])).unwrap();
        shell(&format!("ip link del {BRIDGE}"));
        assert_eq!(path.mend().unwrap_err().to_string(), format!("no interface {BRIDGE}"));
        shell(&format!(
            "ip link add {BRIDGE} type bridge; ip addr add 172.30.0.1/24 dev {BRIDGE}; ip link set {BRIDGE} up"
        ));
        assert!(path.mend().unwrap());
        assert!(shell("ip route show table all").contains(&format!("10.43.0.10 via 172.30.0.2 dev {BRIDGE}")));
        path.end().unwrap();
    });
}

#[test]
fn all_that_matters_is_noticed() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = Watch::new().unwrap();
            for change in [
                "nft add table ip x",
                "ip rule add prio 7 lookup 7",
                "ip route add 10.9.9.9 via 172.30.0.7",
                "ip link set outside down",
            ] {
                shell(change);
                tokio::time::timeout(lab::PATIENCE, watch.changed()).await.expect(change).unwrap();
                // An interface tells more than once.
                while tokio::time::timeout(Duration::from_millis(100), watch.changed()).await.is_ok() {}
            }
        });
    });
}
