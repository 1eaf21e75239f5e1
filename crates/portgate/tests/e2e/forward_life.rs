//! Forwards in the background: listed, logged, closed, and put back after a reboot.

use crate::client::{tcp_echoes, tcp_is_closed};
use crate::reach::User;
use crate::support::{eventually, free_port, free_ports, lines, local};

#[tokio::test]
async fn a_detached_forward_is_proven_listed_and_closed() {
    let user = User::new().await;
    let port = free_ports(2);
    let started = user.run(&format!("forward svc/echo {port}:9999 {}:9999 -n backend --detach", port + 1)).await.ok();
    assert_eq!(lines(&started.stdout)[0], format!("Forwarding from 127.0.0.1:{port} -> 9999"), "{}", started.stdout);
    assert!(started.stderr.contains("k3d-double-forward goes on in the background"), "{}", started.stderr);
    tcp_echoes(local(port)).await;
    let listed = user.run("ls -o json").await.ok().json();
    let item = &listed["items"][0];
    assert_eq!(item["gate"], "k3d-double-forward", "{item:#}");
    assert_eq!(item["placement"], "process");
    assert_eq!(item["backends"][0]["reach"], "api");
    user.run(&format!("test {port} --send hello --expect hello")).await.ok();

    user.run(&format!("close {}", port + 1)).await.ok();
    tcp_is_closed(local(port + 1)).await;
    tcp_echoes(local(port)).await;
    user.run(&format!("close {port}")).await.ok();
    tcp_is_closed(local(port)).await;
    user.has_nothing_left();
}

#[tokio::test]
async fn a_detached_port_that_leads_nowhere_stays_open_and_is_told() {
    let user = User::new().await;
    let port = free_port();
    let started = user.run(&format!("forward deploy/echo {port}:7777 -n backend -d")).await.fails(1);
    assert!(started.stderr.contains("error forwarding port 7777"), "{}", started.stderr);
    assert!(started.stderr.contains("1 of 1 opened port cannot be reached yet"), "{}", started.stderr);
    assert_eq!(user.mapping().await["local"]["port"], port);
    user.run("down").await.ok();
    user.has_nothing_left();
}

#[tokio::test]
async fn ports_are_opened_through_the_api_by_open_as_well() {
    let user = User::new().await;
    let port = free_port();
    let opened = user.run(&format!("open --via api {port}:svc/internal.backend")).await.ok();
    assert!(opened.stdout.contains(" ok: "), "{}", opened.stdout);
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_stopped_forward_is_started_again_with_what_it_had() {
    let user = User::new().await;
    let port = free_port();
    user.run(&format!("forward svc/echo {port}:9999 -n backend -d")).await.ok();
    user.run("stop").await.ok();
    tcp_is_closed(local(port)).await;
    assert_eq!(user.mapping().await["state"], "stopped");
    user.run("start").await.ok();
    tcp_echoes(local(port)).await;
    let restarted = user.run("restart").await.ok();
    assert!(restarted.stderr.contains("is restarted, with 1 port"), "{}", restarted.stderr);
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_log_is_printed_and_followed_until_the_forward_ends() {
    let user = User::new().await;
    let port = free_port();
    user.run(&format!("forward svc/echo {port}:9999 -n backend -d")).await.ok();
    let log = user.run("logs").await.ok();
    assert!(log.stdout.contains("the gate is open"), "{}", log.stdout);
    let following = tokio::spawn(crate::support::finish(user.command("logs -f")));
    user.run("stop").await.ok();
    let followed = following.await.unwrap().ok();
    assert!(followed.stdout.contains("the gate closes"), "{}", followed.stdout);
}

#[tokio::test]
async fn what_was_forwarded_is_put_back_after_a_reboot() {
    let user = User::new().await;
    let port = free_port();
    user.run(&format!("forward svc/echo {port}:9999 -n backend -d")).await.ok();
    let enabled = user.run("autostart enable").await.ok();
    let unit = user.path("config/systemd/user/default.target.wants/portgate.service");
    let content = std::fs::read_to_string(&unit).unwrap();
    assert!(content.contains("autostart run"), "{content}");
    assert!(enabled.stderr.contains("portgate.service"), "{}", enabled.stderr);
    // A reboot ends the process, and clears the runtime directory.
    user.run("stop").await.ok();
    eventually(async || tokio::net::TcpStream::connect(local(port)).await.is_err().then_some(())).await;
    let _ = std::fs::remove_dir_all(user.path("run"));
    user.run("autostart run").await.ok();
    tcp_echoes(local(port)).await;
    user.run("autostart disable").await.ok();
    assert!(std::fs::symlink_metadata(&unit).is_err());
    user.run("down").await.ok();
    user.has_nothing_left();
}
