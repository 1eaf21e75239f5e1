//! What is refused before anything is asked of a cluster: bad arguments, and engines that cannot be had.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Ran, finish, skipped};

/// Runs `portgate` with these arguments, on the engine that listens there.
async fn run_at(socket: &Path, arguments: &str) -> Ran {
    finish(command_at(socket, arguments)).await
}

fn command_at(socket: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portgate"));
    let nowhere = Path::new("/nonexistent");
    command.args(arguments.split_whitespace()).env("XDG_RUNTIME_DIR", nowhere).env_remove("PORTGATE_CLUSTER");
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    command
}

/// What a wrong use says. No engine is asked.
async fn usage(arguments: &str) -> String {
    let ran = run_at(Path::new("/nonexistent.sock"), arguments).await.fails(2);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[tokio::test]
async fn port_zero_is_refused() {
    assert_snapshot!(usage("open 0").await, @"
    error: invalid value '0' for '[PORT]...': `0`: not a port: ports are 1 to 65535
      0
      ^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_port_above_65535_is_refused() {
    assert_snapshot!(usage("open 8080:70000/udp").await, @"
    error: invalid value '8080:70000/udp' for '[PORT]...': `70000`: not a port: ports are 1 to 65535
      8080:70000/udp
           ^^^^^
    hint: a port is written [ADDRESS:][HOSTPORT:]TARGET[/PROTOCOL], as 30999, 8080:30080 or 127.0.0.1:8080:30080/tcp

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_reversed_range_is_refused() {
    assert_snapshot!(usage("open 30020-30000").await, @"
    error: invalid value '30020-30000' for '[PORT]...': `30020-30000`: the range is reversed: the first port is above the last
      30020-30000
      ^^^^^^^^^^^
    hint: write the lower port first, as 30000-30020

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_malformed_port_is_refused() {
    assert_snapshot!(usage("open 30999:web").await, @"
    error: invalid value '30999:web' for '[PORT]...': `web`: not a kind of target
      30999:web
            ^^^
    hint: the targets are PORT, FIRST-LAST, svc/NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE]:PORT (also deploy/, sts/, ds/) and node/CONTAINER:PORT

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn ranges_of_different_lengths_are_refused() {
    assert_snapshot!(usage("open 8000-8001:30000-30009").await, @"
    error: invalid value '8000-8001:30000-30009' for '[PORT]...': `30000-30009`: the ranges differ in length: 2 on the host, 10 at the target
      8000-8001:30000-30009
                ^^^^^^^^^^^
    hint: give both ranges the same length, as 8000-8020:30000-30020, or name one only

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn an_unknown_protocol_is_refused() {
    assert_snapshot!(usage("open 30998/sctp").await, @"
    error: invalid value '30998/sctp' for '[PORT]...': `sctp`: not a protocol
      30998/sctp
            ^^^^
    hint: the protocols are tcp, udp and tcp+udp, as 30998/udp

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_kind_of_target_that_is_none_is_refused() {
    assert_snapshot!(usage("open 80:ingress/web").await, @"
    error: invalid value '80:ingress/web' for '[PORT]...': `ingress`: not a kind of target
      80:ingress/web
         ^^^^^^^
    hint: the targets are PORT, FIRST-LAST, svc/NAME[.NAMESPACE][:PORT], pod/NAME[.NAMESPACE]:PORT (also deploy/, sts/, ds/) and node/CONTAINER:PORT

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn a_selector_that_is_none_is_refused() {
    let refused = usage("close 30999:30080").await;
    assert!(refused.contains("`:30080`: unexpected text"), "{refused}");
    assert!(refused.contains("[ADDRESS:]PORT[-LAST][/PROTOCOL]"), "the hint is for `open`: {refused}");
}

#[tokio::test]
async fn an_address_that_nobody_can_connect_to_is_refused() {
    assert_snapshot!(usage("open --bind 224.0.0.1 30998/udp").await, @"
    error: invalid value '224.0.0.1' for '--bind <ADDRESS>': cannot listen on a multicast address
    hint: name one of this machine's addresses, as 127.0.0.1 or [::1]; `ip address` lists them, 0.0.0.0 stands for all

    For more information, try '--help'.
    ");
    for arguments in ["open 255.255.255.255:53:30053/udp", "open --bind fe80::1 30999", "open [ff02::1]:80:30080"] {
        assert!(usage(arguments).await.contains("cannot listen on"), "{arguments}");
    }
    let forward = usage("forward svc/web 80 --address 127.0.0.1,239.1.1.1").await;
    assert!(forward.contains("error: `239.1.1.1`: cannot listen on a multicast address\nhint: "), "{forward}");
}

#[tokio::test]
async fn a_wait_beyond_what_clocks_reckon_with_is_refused() {
    for arguments in ["test --timeout", "forward svc/web 80 --wait-for-pod"] {
        let refused = usage(&format!("{arguments} 9223372036854775807s")).await;
        assert!(refused.contains("more than 24h"), "{refused}");
    }
    let socket = Path::new("/nonexistent.sock");
    // As long ago as one likes: nothing is that old.
    let asked = run_at(socket, "logs --since 9223372036854775807s --tail 18446744073709551615").await.fails(1).stderr;
    assert!(asked.contains("there is no Docker engine"), "{asked}");
}

#[tokio::test]
async fn nothing_to_close_is_refused() {
    assert_snapshot!(usage("close").await, @"
    error: the following required arguments were not provided:
      <PORT>...

    Usage: portgate close <PORT>...

    For more information, try '--help'.
    ");
}

#[tokio::test]
async fn no_engine_is_told_with_the_place_where_it_was_looked_for() {
    let socket = Path::new("/nonexistent.sock");
    let refused = run_at(socket, "open 30999").await.fails(1).stderr;
    assert_snapshot!(refused, @"
    error: there is no Docker engine at unix:///nonexistent.sock: No such file or directory (os error 2)
    hint: start it with `sudo systemctl start docker`, or set DOCKER_HOST to where it listens
    ");
    for command in ["ls", "clusters", "close --all", "test", "logs", "stop", "start", "restart", "down"] {
        assert_eq!(run_at(socket, command).await.fails(1).stderr, refused, "{command}");
    }
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_told_from_a_missing_one() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("docker.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let refused = run_at(&socket, "open 30999").await.fails(1).stderr;
    assert_snapshot!(refused.replace(directory.path().to_str().unwrap(), "DIRECTORY"), @"
    error: no Docker engine listens at unix://DIRECTORY/docker.sock
    hint: start it with `sudo systemctl start docker`, or set DOCKER_HOST to where it listens
    ");
}

#[tokio::test]
async fn a_socket_that_the_user_may_not_use_comes_with_the_groups_command() {
    if !rustix::process::getuid().is_root() {
        return skipped("only root can act as another user");
    }
    let directory = TempDir::new().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = directory.path().join("docker.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).unwrap();
    // Another user may not reach the program in root's directories.
    let program = directory.path().join("portgate");
    std::fs::copy(env!("CARGO_BIN_EXE_portgate"), &program).unwrap();
    let mut command = Command::new(program);
    command.args(["open", "30999"]).env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let refused = finish({
        command.uid(65534).gid(65534);
        command
    })
    .await
    .fails(1)
    .stderr;
    assert_snapshot!(refused.replace(directory.path().to_str().unwrap(), "DIRECTORY"), @"
    error: no permission to use the Docker engine at unix://DIRECTORY/docker.sock
    hint: join the socket's group with `sudo usermod -aG docker $USER`, then log in anew
    ");
}

#[tokio::test]
async fn an_address_that_is_no_engines_is_refused() {
    let mut command = command_at(Path::new("/"), "clusters");
    command.env("DOCKER_HOST", "carrier-pigeon://loft");
    assert_snapshot!(finish(command).await.fails(1).stderr, @"
    error: carrier-pigeon://loft is not the address of a Docker engine
    hint: write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST
    ");
}

#[tokio::test]
async fn an_unknown_command_is_refused_and_the_nearest_suggested() {
    let refused = usage("opne 30999").await;
    assert!(refused.contains("'open'"), "{refused}");
}
