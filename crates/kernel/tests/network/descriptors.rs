//! A gate whose process has no descriptor left.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use portgate_kernel::{Datapath, Error};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::lab::{self, BRIDGE, Lab, identity, place, shell, table, tcp};

/// Tells the test that is started as a process of its own to be such a gate.
const BE_A_GATE: &str = "PORTGATE_TEST_BE_A_GATE_WITHOUT_DESCRIPTORS";

/// In a process of its own this is the gate: it mends once it has read a line, and ends after another. Among the tests it
/// does nothing.
#[test]
fn gate() {
    if std::env::var_os(BE_A_GATE).is_none() {
        return;
    }
    let mut path = Datapath::start_shared(identity("lab"), place()).unwrap();
    path.apply(&table(&[
        ("127.0.0.1:8080/tcp", &["172.30.0.2:80"]),
        ("0.0.0.0:8081/udp", &["10.43.0.10:53 via 172.30.0.2"]),
    ]))
    .unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let error = Datapath::start_shared(identity("other"), place()).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
    let wait = || std::io::stdin().read_exact(&mut [0]).unwrap();
    println!("\nready");
    wait();
    println!("mended {}", path.mend().unwrap());
    wait();
    path.end().unwrap();
    println!("ended");
}

#[test]
fn a_gate_without_a_descriptor_mends_and_ends() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        let mut gate = Command::new(std::env::current_exe().unwrap());
        gate.args(["--exact", "descriptors::gate", "--nocapture"]).env(BE_A_GATE, "1");
        let mut gate = gate.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = gate.stdin.take().unwrap();
        let mut lines = BufReader::new(gate.stdout.take().unwrap()).lines();
        let mut says = |what: &str| assert!(lines.any(|line| line.unwrap() == what), "it never says {what}");
        says("ready");
        shell(&format!("nft flush ruleset; echo 0 > /proc/sys/net/ipv4/conf/{BRIDGE}/route_localnet"));
        input.write_all(b"x").unwrap();
        says("mended true");
        assert_eq!(tcp("127.0.0.1:8080").unwrap(), "node hello");
        assert!(shell("nft list tables").contains(&format!("portgate-guard-{BRIDGE}")));
        input.write_all(b"x").unwrap();
        says("ended");
        assert!(gate.wait().unwrap().success());
        assert_eq!(lab::everything(BRIDGE), before);
    });
}
