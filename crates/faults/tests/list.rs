//! What a seed stands for.
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// The first steps of a seed, as a process of its own prints them.
fn list(seed: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portgate-faults"));
    let output = command.args(["--list", "60", "--seed", seed]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_seed_stands_for_the_same_faults_in_every_process() {
    assert_eq!(list("7"), list("7"));
    assert_ne!(list("7"), list("8"));
    assert!(list("7").lines().any(|line| line.starts_with("step 60: ")));
}
