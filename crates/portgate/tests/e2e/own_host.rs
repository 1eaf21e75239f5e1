//! A host of a test's own: a network, a `/run` and an engine that nobody else has.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::geteuid;

use crate::engine::OwnEngine;
use crate::support::skipped;

/// Set in a process that has a host of its own.
const INSIDE: &str = "PORTGATE_TEST_OWN_HOST";

/// Where gates in the host's network have their control sockets.
const DIRECTORY: &str = "/run/portgate";

/// Runs the test of this name in a process that has a network and a `/run` of its own, with an engine in it. All of it
/// goes with that process.
pub(crate) fn on_own_host(name: &str, test: impl AsyncFnOnce(&OwnEngine)) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(async { test(&OwnEngine::start().await).await });
    }
    if !geteuid().is_root() {
        return skipped("only root can have a host of its own");
    }
    let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
    for program in ["dockerd", "nft", "ip"] {
        if !has(program) {
            return skipped(&format!("`{program}` is not installed"));
        }
    }
    let script = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--net", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    inside.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(INSIDE, "yes");
    let output = inside.stdin(Stdio::null()).output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "there is no test {name}");
}

/// All of the host's network that a gate may change, and the files that it may leave.
pub(crate) fn host_state() -> Vec<String> {
    let mut state = Vec::new();
    for command in ["nft --stateless list ruleset", "ip rule", "ip route show table all", "ip -6 rule"] {
        let mut words = command.split(' ');
        let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        state.extend(text.lines().map(|line| format!("{command}: {}", line.trim())));
    }
    for interface in fs::read_dir("/proc/sys/net/ipv4/conf").unwrap() {
        for setting in ["route_localnet", "rp_filter", "forwarding", "accept_local", "src_valid_mark"] {
            let path = interface.as_ref().unwrap().path().join(setting);
            if let Ok(value) = fs::read_to_string(&path) {
                state.push(format!("{} = {}", path.display(), value.trim()));
            }
        }
    }
    let entries = fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    state.extend(entries.map(|entry| entry.path().display().to_string()));
    state.extend(fs::exists(DIRECTORY).unwrap().then(|| DIRECTORY.to_owned()));
    state.sort();
    state
}

/// What is in one list and not in the other.
pub(crate) fn difference<'a>(before: &'a [String], now: &'a [String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}"));
    gone.chain(now.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"))).collect()
}
