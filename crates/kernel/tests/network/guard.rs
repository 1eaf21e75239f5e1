//! What keeps containers from the host's loopback, and what is turned off again.

use std::net::UdpSocket;
use std::process::Command;

use portgate_kernel::{Datapath, Place, clean};

use crate::lab::{self, BRIDGE, Lab, identity, place, shell, table, tcp};

/// The table that outlives a gate.
const GUARD: &str = "portgate-guard-br-one";

/// Tells the test that is started as a process of its own to sweep.
const BE_A_SWEEPER: &str = "PORTGATE_TEST_BE_A_SWEEPER";

/// A lab with a node that can send what it likes: it has no loopback of its own any more, and 127.0.0.1 is a neighbour of
/// its bridge. The host accepts its own addresses as sources from the bridge.
fn lab_with_a_forger() -> Lab {
    let lab = Lab::new().node(2, "node");
    lab.at(0).shell(
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet; ip link set lo down
         ip route flush table local dev lo; ip route add 127.0.0.1 via 172.30.0.1; ip addr add 127.0.0.9/32 dev eth0",
    );
    lab.host.shell(&format!("echo 1 > /proc/sys/net/ipv4/conf/{BRIDGE}/accept_local"));
    lab
}

/// Which of these the node of such a lab can do: reach a service on the host's 127.0.0.1; reach one on the bridge's address
/// as 127.0.0.9.
fn reached(lab: &Lab) -> (bool, bool) {
    let knock = |from: &str, to: &str| {
        let service = lab.host.run(|| UdpSocket::bind(to).unwrap());
        service.set_read_timeout(Some(lab::SILENCE)).unwrap();
        lab.at(0).run(|| UdpSocket::bind(from).unwrap().send_to(b"knock", to).unwrap());
        service.recv(&mut [0; 8]).is_ok()
    };
    (knock("172.30.0.2:0", "127.0.0.1:9000"), knock("127.0.0.9:0", "172.30.0.1:9000"))
}

fn setting(name: &str) -> String {
    shell(&format!("cat /proc/sys/net/ipv4/conf/{BRIDGE}/{name}")).trim().to_owned()
}

fn has_guard() -> bool {
    shell("nft list tables").contains(GUARD)
}

#[test]
fn a_node_cannot_reach_the_loopback_of_the_host_nor_speak_for_it() {
    if !lab::may_run() {
        return;
    }
    let lab = lab_with_a_forger();
    let path = lab.host.run(|| Datapath::start_shared(identity("lab"), place()).unwrap());
    assert_eq!(reached(&lab), (false, false), "the guard lets it pass");
    lab.host.shell(&format!("nft flush chain ip {} guard; nft flush chain ip {GUARD} guard", identity("lab").table()));
    assert_eq!(reached(&lab), (true, true), "it would not arrive without the guard either");
    lab.host.run(|| path.end()).unwrap();
}

#[test]
fn the_guard_outlives_a_killed_gate_for_as_long_as_the_setting_is_on() {
    if !lab::may_run() {
        return;
    }
    let lab = lab_with_a_forger();
    let before = lab.host.run(|| lab::everything(BRIDGE));
    let path = lab.datapath();
    drop(path);
    lab.host.run(|| lab::eventually(|| !shell("nft list tables").contains(identity("lab").table())));
    assert_eq!(lab.host.run(|| setting("route_localnet")), "1");
    assert_eq!(reached(&lab), (false, false));
    lab.host.run(|| clean(&identity("lab"), None)).unwrap();
    assert_eq!(lab.host.run(|| lab::everything(BRIDGE)), before);
}

/// In a process of its own this sweeps; among the tests it does nothing.
#[test]
fn sweeper() {
    let Some(outcome) = std::env::var_os(BE_A_SWEEPER) else { return };
    let swept = clean(&identity("lab"), Some(BRIDGE));
    if outcome == "refused" {
        let error = swept.unwrap_err();
        assert!(error.to_string().ends_with("route_localnet"), "{error}");
    } else {
        swept.unwrap();
    }
}

/// Sweeps in a process that has mounted something before, in the network of this thread.
fn sweep_with(mount: &str, outcome: &str) {
    let mut sweeper = Command::new("unshare");
    sweeper.args(["--mount", "--propagation", "private", "sh", "-ec", &format!("{mount}; exec \"$@\""), "sh"]);
    sweeper.arg(std::env::current_exe().unwrap()).args(["--exact", "guard::sweeper"]).env(BE_A_SWEEPER, outcome);
    let output = sweeper.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}

#[test]
fn the_guard_stays_if_the_setting_cannot_be_turned_off() {
    if !lab::may_run() {
        return;
    }
    let lab = lab_with_a_forger();
    drop(lab.datapath());
    lab.host.run(|| {
        lab::eventually(|| !shell("nft list tables").contains(identity("lab").table()));
        sweep_with("mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys", "refused");
    });
    assert_eq!(lab.host.run(|| setting("route_localnet")), "1");
    assert_eq!(reached(&lab), (false, false));
    lab.host.run(|| {
        clean(&identity("lab"), None).unwrap();
        assert_eq!((setting("route_localnet").as_str(), has_guard()), ("0", false));
    });
}

#[test]
fn what_was_on_before_stays_on_whoever_sweeps() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        // As an engine without userland proxy has it.
        shell(&format!("cd /proc/sys/net/ipv4/conf/{BRIDGE}; echo 1 > route_localnet; echo 1 > src_valid_mark"));
        let before = lab::everything(BRIDGE);
        let wanted =
            table(&[("127.0.0.1:8080/tcp", &["172.30.0.2:80"]), ("127.0.0.1:81/udp", &["10.4.0.1:53 via 172.30.0.2"])]);
        for killed in [false, true] {
            let mut path = Datapath::start_shared(identity("lab"), place()).unwrap();
            path.apply(&wanted).unwrap();
            assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
            assert!(has_guard());
            if killed {
                drop(path);
                clean(&identity("lab"), Some(BRIDGE)).unwrap();
            } else {
                path.end().unwrap();
            }
            assert_eq!(lab::everything(BRIDGE), before);
        }
    });
}

#[test]
fn the_last_gate_on_a_bridge_turns_off_what_the_first_has_turned_on() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        for killed in [false, true] {
            let one = Datapath::start_shared(identity("one"), place()).unwrap();
            let mut two = Datapath::start_shared(identity("two"), place()).unwrap();
            two.apply(&table(&[("127.0.0.1:8080/tcp", &["172.30.0.2:80"])])).unwrap();
            if killed {
                drop(one);
                clean(&identity("one"), Some(BRIDGE)).unwrap();
            } else {
                one.end().unwrap();
            }
            assert_eq!((setting("route_localnet").as_str(), has_guard(), two.is_set()), ("1", true, true));
            assert!(!two.mend().unwrap());
            assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
            // The guard, and who turned the setting on, are known even after somebody has flushed the rules.
            shell(&format!("nft delete table ip {GUARD}"));
            assert!(two.mend().unwrap());
            two.end().unwrap();
            assert_eq!(lab::everything(BRIDGE), before);
        }
    });
}

#[test]
fn a_killed_gate_keeps_the_setting_on_until_it_is_swept() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        let one = Datapath::start_shared(identity("one"), place()).unwrap();
        let two = Datapath::start_shared(identity("two"), place()).unwrap();
        drop(one);
        two.end().unwrap();
        assert_eq!((setting("route_localnet").as_str(), has_guard()), ("1", true));
        clean(&identity("one"), None).unwrap();
        assert_eq!(lab::everything(BRIDGE), before);
    });
}

#[test]
fn the_guard_of_a_bridge_that_is_gone_goes_with_the_next_start() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        drop(Datapath::start_shared(identity("lab"), place()).unwrap());
        shell(&format!("ip link del {BRIDGE}"));
        assert!(has_guard());
        Datapath::start(identity("new"), Place::Host { bridge: "outside".to_owned() }).unwrap().end().unwrap();
        assert!(!has_guard());
        clean(&identity("lab"), None).unwrap();
        assert_eq!(shell("nft list ruleset"), "");
    });
}

#[test]
fn a_setting_without_a_guard_is_turned_off_unless_the_engine_needs_it() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        // The files of this network's interfaces.
        let sysfs = "mount -t sysfs sysfs /sys";
        for (turns_back, value) in [("on", "1"), ("off", "0")] {
            shell(&format!("echo 1 > /proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet"));
            shell(&format!("bridge link set dev n2 hairpin {turns_back}"));
            sweep_with(sysfs, "done");
            assert_eq!(setting("route_localnet"), value, "hairpin {turns_back}");
        }
    });
}
