//! What a worker cannot do, even where an attacker has it run other code.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use libc::{
    AF_ALG, AF_INET, AF_NETLINK, AF_PACKET, AF_UNIX, AF_VSOCK, CLONE_NEWUSER, F_SETOWN, IPPROTO_ICMP, IPPROTO_SCTP,
    MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, SIGCHLD, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM, c_long,
};
use rustix::process::Signal;

use crate::rights::skipped;
use crate::stage::{Stage, echo, echoed, settings};

/// Has a process try something with these restrictions.
fn attempt(restriction: &str, what: &str, argument: &str) -> Output {
    Command::new(settings().program).args(["attempt", restriction, what, argument]).output().unwrap()
}

fn call(restriction: &str, call: &[c_long]) -> Output {
    let call: Vec<String> = call.iter().map(c_long::to_string).collect();
    attempt(restriction, "call", &call.join(","))
}

fn is_killed(output: &Output) -> bool {
    output.status.signal() == Some(Signal::SYS.as_raw())
}

/// The error of an attempt; `None` if it succeeded.
fn error(output: &Output) -> Option<String> {
    assert_eq!(output.status.signal(), None, "{output:?}");
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A socket without a file in this process, and its name.
fn abstract_socket() -> (UnixListener, String) {
    let name = format!("portgate-test-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    (listener, name)
}

fn has_landlock() -> bool {
    let whole = attempt("domain", "connect", "127.0.0.1:1").stdout == b"domain: enforced\n";
    if !whole {
        skipped("this kernel has no Landlock, or an old one");
    }
    whole
}

#[test]
fn what_a_relay_does_not_do_kills_the_worker() {
    let (_listener, name) = abstract_socket();
    let socket =
        |family: i32, kind: i32, protocol: i32| vec![libc::SYS_socket, family.into(), kind.into(), protocol.into()];
    let executable = (PROT_READ | PROT_EXEC).into();
    let calls = [
        socket(AF_UNIX, SOCK_STREAM, 0),
        socket(AF_NETLINK, SOCK_RAW, 0),
        socket(AF_PACKET, SOCK_RAW, 0),
        socket(AF_VSOCK, SOCK_STREAM, 0),
        socket(AF_ALG, SOCK_DGRAM, 0),
        socket(AF_INET, SOCK_RAW, IPPROTO_ICMP),
        socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP),
        vec![libc::SYS_socketpair, AF_UNIX.into(), SOCK_STREAM.into()],
        vec![libc::SYS_bind],
        vec![libc::SYS_listen],
        vec![libc::SYS_openat],
        vec![libc::SYS_openat2],
        vec![libc::SYS_open_by_handle_at],
        vec![libc::SYS_execve],
        vec![libc::SYS_execveat],
        vec![libc::SYS_clone, SIGCHLD.into()],
        vec![libc::SYS_clone3],
        vec![libc::SYS_unshare, CLONE_NEWUSER.into()],
        vec![libc::SYS_setns],
        vec![libc::SYS_ptrace],
        vec![libc::SYS_process_vm_readv],
        vec![libc::SYS_kill, std::process::id().into()],
        vec![libc::SYS_tgkill, std::process::id().into(), std::process::id().into()],
        vec![libc::SYS_pidfd_open, std::process::id().into()],
        vec![libc::SYS_fcntl, 0, F_SETOWN.into(), std::process::id().into()],
        vec![libc::SYS_mount],
        vec![libc::SYS_umount2],
        vec![libc::SYS_fsopen],
        vec![libc::SYS_io_uring_setup],
        vec![libc::SYS_bpf],
        vec![libc::SYS_userfaultfd],
        vec![libc::SYS_perf_event_open],
        vec![libc::SYS_keyctl],
        vec![libc::SYS_memfd_create],
        vec![libc::SYS_mmap, 0, 4096, executable, (MAP_PRIVATE | MAP_ANONYMOUS).into(), -1],
        vec![libc::SYS_mprotect, 0, 0, executable],
        vec![libc::SYS_prlimit64],
        vec![libc::SYS_prctl, libc::PR_SET_DUMPABLE.into(), 1],
        vec![libc::SYS_seccomp],
        vec![libc::SYS_setuid],
    ];
    for call in calls {
        assert!(is_killed(&self::call("filter", &call)), "{call:?}");
        // Whatever becomes of it, the call itself does not kill.
        assert!(!is_killed(&self::call("none", &call)), "{call:?}");
    }
    let attempts = [
        ("abstract", name.as_str()),
        ("read", "/proc/self/status"),
        ("execute", "/bin/true"),
        ("listen", "127.0.0.1:0"),
        ("kill", "1"),
        // A thread is one of the calls above.
        ("panic", ""),
    ];
    for (what, argument) in attempts {
        assert!(is_killed(&attempt("filter", what, argument)), "{what}");
    }
}

#[test]
fn what_a_relay_does_is_allowed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(error(&attempt("both", "connect", &listener.local_addr().unwrap().to_string())), None);
    let aborted = attempt("both", "abort", "");
    assert_eq!(aborted.status.signal(), Some(Signal::ABORT.as_raw()), "{aborted:?}");
}

#[test]
fn sockets_without_a_file_are_out_of_a_workers_reach() {
    let (_listener, name) = abstract_socket();
    assert_eq!(error(&attempt("none", "abstract", &name)), None, "anybody else may connect");
    assert!(is_killed(&attempt("filter", "abstract", &name)));
    if has_landlock() {
        // Not by one restriction alone: a filter cannot see where a socket leads that somebody hands to the worker.
        let refused = error(&attempt("domain", "abstract", &name)).unwrap();
        assert!(refused.contains("PermissionDenied"), "{refused}");
    }
}

#[test]
fn a_worker_has_no_file_no_port_and_no_signal() {
    if !has_landlock() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut victim = Command::new("sleep").arg("60").spawn().unwrap();
    let attempts = [
        ("read", file.to_str().unwrap().to_owned()),
        ("write", file.to_str().unwrap().to_owned()),
        ("write", directory.path().join("new").to_str().unwrap().to_owned()),
        ("execute", "/bin/true".to_owned()),
        ("listen", "127.0.0.1:0".to_owned()),
        ("kill", victim.id().to_string()),
    ];
    for (what, argument) in attempts {
        let denied = error(&attempt("domain", what, &argument)).expect(what);
        let is_denied = ["PermissionDenied", "EPERM", "Os { code: 1,", "Os { code: 13,"];
        assert!(is_denied.iter().any(|kind| denied.contains(kind)), "{what}: {denied}");
    }
    assert_eq!(victim.try_wait().unwrap(), None);
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[tokio::test]
async fn each_thread_of_a_worker_is_restricted() {
    let mut stage = Stage::new().await;
    let door = stage.tcp(&[echo().await]);
    stage.meanwhile(echoed(door.address)).await;
    let tasks = format!("/proc/{}/task", stage.pid().as_raw_nonzero());
    let statuses: Vec<String> = std::fs::read_dir(tasks)
        .unwrap()
        .map(|task| std::fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .collect();
    assert!(statuses.len() > 1, "it has threads");
    for status in statuses {
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.lines().any(|found| found == line), "{status}");
        }
    }
}
