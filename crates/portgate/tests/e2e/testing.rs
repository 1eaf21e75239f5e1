//! `portgate test`.

use super::cluster;
use crate::support::{DATAGRAM_ECHO, ECHO, GREETING, HTTP, NOTHING, finish, free_port};

#[tokio::test]
async fn all_open_ports_are_tested_unless_some_are_named() {
    let Some(cluster) = cluster().await else { return };
    let (one, other) = (free_port(), free_port());
    cluster.run(&format!("open {one}:{ECHO} {other}:{DATAGRAM_ECHO}/udp")).await.ok();
    assert_eq!(cluster.run("test").await.ok().stdout.matches(" ok: ").count(), 2);
    let tested = cluster.run(&format!("test {one}/tcp")).await.ok().stdout;
    assert_eq!(tested.matches(" ok: ").count(), 1, "{tested}");
    assert!(tested.contains(&format!("localhost:{one}/tcp")), "{tested}");
    let document = cluster.run("test -o json").await.ok().json();
    let verdicts: Vec<_> = document["items"].as_array().unwrap().iter().map(|trial| &trial["verdict"]).collect();
    assert_eq!(verdicts, ["ok", "ok"]);
}

#[tokio::test]
async fn a_text_is_sent_and_its_echo_expected() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    for port in [format!("{tcp}/tcp"), format!("{udp}/udp")] {
        let good = cluster.run(&format!("test {port} --send hello --expect hello")).await.ok();
        assert!(good.stdout.contains(" ok: ") && good.stdout.ends_with("\nhello\n"), "{}", good.stdout);
        let bad = cluster.run(&format!("test {port} --send hello --expect goodbye")).await.fails(1);
        assert!(bad.stdout.contains(" broken: ") && bad.stdout.contains("hello"), "{}", bad.stdout);
    }
    let good = cluster.run(&format!("test {tcp} --send hello")).await.ok();
    assert!(good.stdout.ends_with("\nhello\n"), "{}", good.stdout);
}

#[tokio::test]
async fn what_a_server_says_first_can_be_expected() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{GREETING}")).await.ok();
    let good = cluster.run(&format!("test {port} --expect SSH-2.0")).await.ok();
    assert!(good.stdout.contains("SSH-2.0-peer"), "{}", good.stdout);
    cluster.run(&format!("test {port} --expect HTTP")).await.fails(1);
}

#[tokio::test]
async fn an_http_request_shows_status_and_headers() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{HTTP}")).await.ok();
    let arguments = format!("test {port} --http /admin/user --host dev.admin.test.com");
    let answer = cluster.run(&arguments).await.ok().stdout;
    assert!(answer.contains(" ok: ") && answer.contains("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains("X-Path: /admin/user") && answer.contains("X-Host: dev.admin.test.com"), "{answer}");
    let answer = cluster.run(&format!("test {port} --http /")).await.ok().stdout;
    assert!(answer.contains(&format!("X-Host: localhost:{port}")), "{answer}");
}

#[tokio::test]
async fn an_answer_that_is_no_http_is_broken() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{GREETING}")).await.ok();
    let tested = cluster.run(&format!("test {port} --http /")).await.fails(1);
    assert!(tested.stdout.contains("this is no HTTP"), "{}", tested.stdout);
}

#[tokio::test]
async fn a_broken_port_among_good_ones_fails_the_test() {
    let Some(cluster) = cluster().await else { return };
    let (good, bad) = (free_port(), free_port());
    cluster.run(&format!("open --no-wait {good}:{ECHO} {bad}:{NOTHING}")).await.ok();
    let tested = cluster.run("test").await.fails(1);
    assert_eq!((tested.stdout.matches(" ok: ").count(), tested.stdout.matches(" broken: ").count()), (1, 1));
    assert!(tested.stderr.contains("error: 1 of 2 ports cannot be reached"), "{}", tested.stderr);
    cluster.run(&format!("test {good}")).await.ok();
}

#[tokio::test]
async fn a_text_with_blanks_is_sent_as_it_is() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    let text = "hello, wörld";
    let port = port.to_string();
    let tested = finish(cluster.command(&["test", &port, "--send", text, "--expect", text])).await.ok();
    assert!(tested.stdout.ends_with(&format!("\n{text}\n")), "{}", tested.stdout);
}
