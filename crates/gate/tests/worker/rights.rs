//! What a worker may do: nothing but relay.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use portgate_gate::worker::{Identity, Worker, WorkerSettings};
use rustix::process::{Pid, geteuid};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use crate::stage::{Stage, echo, echoed, echoed_udp, end_of, settings, soon, udp_echo};

/// Says why a test cannot be done here. Where everything has to be there, that is a failure.
#[track_caller]
pub(crate) fn skipped(why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{why}");
    // Past the test harness, which shows the output of failed tests only.
    let _ = std::io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// Leaves this thread these rights, until it takes back those that it may have.
fn act_with(effective: CapabilitySet) {
    set_capabilities(None, CapabilitySets { effective, ..capabilities(None).unwrap() }).unwrap();
}

#[test]
fn a_worker_has_no_rights_and_its_supervisor_needs_two() {
    if !geteuid().is_root() {
        return skipped("only root can start a worker as somebody else");
    }
    // A thread that ends afterwards: the harness's own is to keep its rights.
    let supervisor = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(supervise_with_two_rights());
    });
    supervisor.join().unwrap();
}

async fn supervise_with_two_rights() {
    // Another user may have no way to where the test was built.
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = directory.path().join("worker");
    std::fs::copy(settings().program, &program).unwrap();
    let settings = WorkerSettings { program, identity: Some(Identity::NOBODY), ..settings() };

    let all = capabilities(None).unwrap().permitted;
    act_with(CapabilitySet::SETUID | CapabilitySet::SETGID);
    let mut stage = Stage::with(settings.clone()).await;
    let (door, udp_door) = (stage.tcp(&[echo().await]), stage.udp(&[udp_echo().await]));
    stage.meanwhile(echoed(door.address)).await;
    stage.meanwhile(echoed_udp(udp_door.address)).await;

    act_with(all);
    has_no_rights(stage.pid());
    stage.kill();
    act_with(CapabilitySet::SETUID | CapabilitySet::SETGID);
    stage.meanwhile(echoed(door.address)).await;
    let ended = end_of(stage.pid());
    drop(stage);
    ended.await;

    // Nor does one live on that does not end by itself.
    let lingering = WorkerSettings { arguments: vec!["hostile".to_owned(), "hangs up".to_owned()], ..settings.clone() };
    let mut stage = Stage::with(lingering).await;
    let ended = end_of(stage.pid());
    stage.tcp(&[]);
    soon(stage.worker.settle()).await;
    ended.await;
    drop(stage);

    // Without the rights to become somebody else, there is no worker at all.
    act_with(CapabilitySet::empty());
    Worker::start(settings, Arc::default()).await.unwrap_err();
    act_with(all);
}

fn has_no_rights(pid: Pid) {
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    for thread in std::fs::read_dir(process.join("task")).unwrap() {
        let status = std::fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(field("Uid:"), "65534 65534 65534 65534");
        assert_eq!(field("Gid:"), "65534 65534 65534 65534");
        assert_eq!(field("Groups:"), "");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs:"), "1");
    }
    for descriptor in std::fs::read_dir(process.join("fd")).unwrap() {
        let descriptor = descriptor.unwrap();
        if is_passed_on(&descriptor.file_name()) {
            continue;
        }
        let what = std::fs::read_link(descriptor.path()).unwrap().display().to_string();
        let harmless = ["socket:", "pipe:", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"];
        assert!(harmless.iter().any(|kind| what.starts_with(kind)), "{descriptor:?} is {what}");
    }
    assert_eq!(std::fs::read_link(process.join("cwd")).unwrap(), Path::new("/"));
    assert_eq!(std::fs::read(process.join("environ")).unwrap(), b"");
}

/// Whether each child of this process gets this descriptor: the log, and what else the process was started with.
fn is_passed_on(descriptor: &OsStr) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let Ok(info) = std::fs::read_to_string(Path::new("/proc/self/fdinfo").join(descriptor)) else { return false };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC == 0
}

#[tokio::test]
async fn a_worker_that_kept_a_right_refuses_to_work() {
    if !geteuid().is_root() {
        return skipped("only root has rights that a worker could keep");
    }
    // Somebody else than it was to be: root, still.
    let identity = Some(Identity { uid: 0, gid: 0 });
    let error = soon(Worker::start(WorkerSettings { identity, ..settings() }, Arc::default())).await.unwrap_err();
    assert_eq!(error.to_string(), "the worker ended: exit status: 1");
}
