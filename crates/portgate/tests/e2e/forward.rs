//! `portgate forward`: kubectl's syntax and words, through the double of an API server.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{say, tcp_echoes};
use crate::reach::{POD, User, heard, says};
use crate::support::{LONG, free_port, free_ports, local};

#[tokio::test]
async fn it_says_what_kubectl_says_and_ends_with_ctrl_c() {
    let user = User::new().await;
    let port = free_port();
    let mut forward = user.forward(&format!("svc/echo {port}:9999 -n backend")).await;
    assert_eq!(forward.first, format!("Forwarding from 127.0.0.1:{port} -> 9999"));
    assert_eq!(forward.line().await, format!("Forwarding from [::1]:{port} -> 9999"));
    tcp_echoes(local(port)).await;
    tcp_echoes((std::net::Ipv6Addr::LOCALHOST, port).into()).await;
    let (status, said) = forward.interrupt().await;
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(said.trim(), format!("svc/echo.backend:9999: pod/{POD}"));
    user.has_nothing_left();
}

#[tokio::test]
async fn several_targets_are_forwarded_at_once() {
    let mut user = User::new().await;
    user.serve(POD, 80, says("http")).await;
    let first = free_ports(3);
    let (echo, http, named) = (first, first + 1, first + 2);
    let line =
        format!("svc/echo {echo}:9999 {named}:http deploy/echo.backend {http}:80 -n backend --address 127.0.0.1");
    let forward = user.forward(&line).await;
    tcp_echoes(local(echo)).await;
    assert_eq!(heard(local(http)).await.unwrap(), "http");
    assert_eq!(heard(local(named)).await.unwrap(), "http");
    assert_eq!(forward.interrupt().await.0, Some(0));
}

#[tokio::test]
async fn a_local_port_can_be_any() {
    let user = User::new().await;
    let forward = user.forward(&format!("pod/{POD} :9999 -n backend --address 127.0.0.1")).await;
    let port = forward.first.split([':', ' ']).find_map(|word| word.parse::<u16>().ok()).unwrap();
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn both_directions_end_on_their_own() {
    let mut user = User::new().await;
    // Ends first, and goes on to listen.
    user.serve(POD, 80, |mut stream: TcpStream| async move {
        stream.write_all(b"first and last word").await?;
        stream.shutdown().await?;
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await?;
        assert_eq!(rest.len(), 3 << 20);
        Ok(())
    })
    .await;
    let port = free_ports(2);
    let _forward = user.forward(&format!("svc/echo {port}:9999 {}:80 -n backend", port + 1)).await;
    assert_eq!(say(local(port), "half of it").await.unwrap(), "half of it");

    let mut stream = TcpStream::connect(local(port + 1)).await.unwrap();
    let mut said = String::new();
    timeout(LONG, stream.read_to_string(&mut said)).await.unwrap().unwrap();
    assert_eq!(said, "first and last word");
    timeout(LONG, stream.write_all(&vec![7; 3 << 20])).await.unwrap().unwrap();
    stream.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_at_once() {
    let mut user = User::new().await;
    user.serve(POD, 80, says("SSH-2.0-double")).await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/echo {port}:80 -n backend")).await;
    assert_eq!(timeout(Duration::from_secs(5), heard(local(port))).await.unwrap().unwrap(), "SSH-2.0-double");
}

#[tokio::test]
async fn a_port_on_which_nothing_listens_fails_its_own_connections_only() {
    let user = User::new().await;
    let port = free_ports(2);
    let _forward = user.forward(&format!("pod/{POD} {port}:9999 {}:7777 -n backend", port + 1)).await;
    tcp_echoes(local(port)).await;
    let refused = say(local(port + 1), "anybody there?").await;
    assert!(refused.is_err(), "the end of a refused connection is a reset: {refused:?}");
    tcp_echoes(local(port)).await;
    let list = user.run("ls -o json").await.ok().json();
    let item = list["items"].as_array().unwrap().iter().find(|item| item["local"]["port"] == port + 1).unwrap().clone();
    let message = item["counters"]["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("error forwarding port 7777 to pod") && message.contains("refused"), "{message}");
}

#[tokio::test]
async fn five_hundred_connections_at_once_are_carried() {
    let user = User::new().await;
    let port = free_port();
    let _forward = user.forward(&format!("svc/echo {port}:9999 -n backend")).await;
    let connections: Vec<_> = (0..500)
        .map(|number| tokio::spawn(async move { (say(local(port), &format!("number {number}")).await, number) }))
        .collect();
    for connection in connections {
        let (answer, number) = connection.await.unwrap();
        assert_eq!(answer.unwrap(), format!("number {number}"));
    }
}
