//! What is left when a gate ends, one way or the other.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use portgate_kernel::{Datapath, Error, clean};

use crate::lab::{self, BRIDGE, Lab, connect, identity, place, say, shell, table};

/// Tells the test that is started as a process of its own to be a gate.
const BE_A_GATE: &str = "PORTGATE_TEST_BE_A_GATE";

#[test]
fn the_end_leaves_nothing() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        for start in [Datapath::start, Datapath::start_shared] {
            let mut path = start(identity("lab"), place()).unwrap();
            path.apply(&wanted()).unwrap();
            assert_ne!(lab::everything(BRIDGE), before);
            let mut stream = connect("127.0.0.1:8080").unwrap();
            assert_eq!(say(&mut stream, "hello").unwrap(), "node hello");
            path.end().unwrap();
            assert_eq!(lab::everything(BRIDGE), before);
            assert!(say(&mut stream, "hello").is_err());
        }
    });
}

fn wanted() -> portgate_core::table::Table {
    table(&[("127.0.0.1:8080/tcp", &["172.30.0.2:80"]), ("0.0.0.0:8081/udp", &["10.43.0.10:53 via 172.30.0.2"])])
}

/// In a process of its own this is the gate that is killed; among the tests it does nothing.
#[test]
fn gate() {
    if std::env::var_os(BE_A_GATE).is_some() {
        let mut path = Datapath::start(identity("lab"), place()).unwrap();
        path.apply(&wanted()).unwrap();
        println!("\nready");
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

#[test]
fn a_killed_gate_leaves_no_table_and_what_else_it_leaves_is_cleaned() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new().node(2, "node");
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        for succeed in [false, true] {
            let mut gate = Command::new(std::env::current_exe().unwrap());
            gate.args(["--exact", "end::gate", "--nocapture"]).env(BE_A_GATE, "1");
            let mut gate = gate.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            let mut lines = BufReader::new(gate.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap() == "ready"));
            assert!(matches!(clean(&identity("lab"), None), Err(Error::Taken)));
            assert!(matches!(Datapath::start(identity("lab"), place()), Err(Error::Taken)));
            gate.kill().unwrap();
            gate.wait().unwrap();
            assert!(!shell("nft list tables").contains(identity("lab").table()));
            assert_ne!(lab::everything(BRIDGE), before);
            if succeed {
                Datapath::start(identity("lab"), place()).unwrap().end().unwrap();
            } else {
                clean(&identity("lab"), Some(BRIDGE)).unwrap();
            }
            assert_eq!(lab::everything(BRIDGE), before);
        }
        clean(&identity("lab"), Some(BRIDGE)).unwrap();
        clean(&identity("lab"), Some("no-such-bridge")).unwrap();
    });
}

#[test]
fn a_killed_gate_without_an_owned_table_is_cleaned_too() {
    if !lab::may_run() {
        return;
    }
    let lab = Lab::new();
    lab.host.run(|| {
        let before = lab::everything(BRIDGE);
        for clean_up in [true, false] {
            let mut path = Datapath::start_shared(identity("lab"), place()).unwrap();
            path.apply(&wanted()).unwrap();
            drop(path);
            assert!(shell("nft list ruleset").contains("portgate"));
            if clean_up {
                clean(&identity("lab"), Some(BRIDGE)).unwrap();
            } else {
                Datapath::start(identity("lab"), place()).unwrap().end().unwrap();
            }
            assert_eq!(lab::everything(BRIDGE), before);
        }
    });
}
