//! Measures forwards over the API double: how much one stream carries, and how many connections are made in a second.
//!
//! ```text
//! cargo run --release -p portgate-kube --example forward -- spdy|tunnel|channels [ms of each measurement]
//! ```
//!
//! The double is in the process, so the numbers are for comparing transports and versions, not for praise.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::env;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use portgate_core::port::Port;
use portgate_double::{Config, Double, Kubeconfig, Transport, Transports};
use portgate_kube::access::Access;
use portgate_kube::api::Api;
use portgate_kube::forward::{Forwarder, PodName};
use portgate_kube::settings::Settings;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// What is sent at once, in bytes.
const CHUNK: usize = 32 * 1024;

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let transport = arguments.next().unwrap_or_default();
    let lasts = Duration::from_millis(arguments.next().map_or(2000, |text| text.parse().unwrap()));
    let served = |name: &str| if name == transport { Transport::Served } else { Transport::BadRequest };
    let transports = Transports { tunnel: served("tunnel"), spdy: served("spdy"), channels: served("channels") };
    let transports = if transport.is_empty() { Transports::default() } else { transports };
    let double = Double::start(Config { transports, ..Config::default() }).await.unwrap();
    let home = tempfile::tempdir().unwrap();
    let kubeconfig = home.path().join("config");
    std::fs::write(&kubeconfig, double.kubeconfig(&Kubeconfig::default()).await.unwrap()).unwrap();
    let settings = Settings { kubeconfigs: vec![kubeconfig], ..Settings::default() };
    let api = Api::connect(&Access::of_user(&settings).unwrap()).await.unwrap();
    let pod = PodName { namespace: "backend".to_owned(), name: "echo-6d4f68dbd7-k8vdx".to_owned() };
    let mut servers = JoinSet::new();
    for (port, address) in [
        (7, serve(&mut servers, echo).await),
        (9, serve(&mut servers, discard).await),
        (19, serve(&mut servers, generate).await),
    ] {
        double.serve(&pod.namespace, &pod.name, port, address).await.unwrap();
    }
    let forwarder = Forwarder::new(&api);
    println!("down          {:6.2} Gbit/s", download(&forwarder, &pod, lasts).await);
    println!("up            {:6.2} Gbit/s", upload(&forwarder, &pod, lasts).await);
    println!("one by one    {:6.0} connections/s", connect(&forwarder, &pod, 1, lasts).await);
    println!("32 at a time  {:6.0} connections/s", connect(&forwarder, &pod, 32, lasts).await);
    println!("first         {:8.1} ms", burst(&Forwarder::new(&api), &pod, 1).await.as_secs_f64() * 1000.0);
    println!("burst of 200  {:6.0} ms", burst(&Forwarder::new(&api), &pod, 200).await.as_secs_f64() * 1000.0);
    println!("sessions      {:6}", double.counters().await.unwrap().sessions);
}

async fn serve<F>(servers: &mut JoinSet<()>, handle: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    servers.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(handle(stream));
            while connections.try_join_next().is_some() {}
        }
    });
    address
}

async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

async fn discard(mut stream: TcpStream) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

async fn generate(mut stream: TcpStream) {
    let chunk = vec![7; 256 * 1024];
    while stream.write_all(&chunk).await.is_ok() {}
}

/// In Gbit/s.
fn rate(bytes: u64, since: Instant) -> f64 {
    #[allow(clippy::cast_precision_loss)]
    let bits = bytes as f64 * 8.0;
    bits / since.elapsed().as_secs_f64() / 1e9
}

async fn download(forwarder: &Forwarder, pod: &PodName, lasts: Duration) -> f64 {
    let mut stream = forwarder.open(pod, Port::new(19).unwrap()).await.unwrap();
    stream.receiver.next().await.unwrap();
    let (mut bytes, since) = (0, Instant::now());
    while since.elapsed() < lasts {
        bytes += stream.receiver.next().await.unwrap().unwrap().len() as u64;
    }
    rate(bytes, since)
}

async fn upload(forwarder: &Forwarder, pod: &PodName, lasts: Duration) -> f64 {
    let mut stream = forwarder.open(pod, Port::new(9).unwrap()).await.unwrap();
    let (mut bytes, since) = (0, Instant::now());
    while since.elapsed() < lasts {
        stream.sender.send(Bytes::from(vec![7; CHUNK])).await.unwrap();
        bytes += CHUNK as u64;
    }
    rate(bytes, since)
}

/// One connection that sends, receives and ends.
async fn ping(forwarder: &Forwarder, pod: &PodName) {
    let mut stream = forwarder.open(pod, Port::new(7).unwrap()).await.unwrap();
    stream.sender.send(Bytes::from_static(b"ping")).await.unwrap();
    let mut left = 4;
    while left > 0 {
        left -= stream.receiver.next().await.unwrap().unwrap().len();
    }
    stream.sender.finish().await.unwrap();
    let _ = timeout(Duration::from_secs(10), stream.receiver.next()).await.unwrap();
}

/// In connections a second.
async fn connect(forwarder: &Forwarder, pod: &PodName, at_a_time: usize, lasts: Duration) -> f64 {
    let count = Arc::new(AtomicU64::new(0));
    let since = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..at_a_time {
        let (count, forwarder, pod) = (Arc::clone(&count), forwarder.clone(), pod.clone());
        clients.spawn(async move {
            while since.elapsed() < lasts {
                ping(&forwarder, &pod).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    clients.join_all().await;
    #[allow(clippy::cast_precision_loss)]
    let count = count.load(Ordering::Relaxed) as f64;
    count / since.elapsed().as_secs_f64()
}

/// How long so many connections at once take, where there is no session yet.
async fn burst(forwarder: &Forwarder, pod: &PodName, count: usize) -> Duration {
    let since = Instant::now();
    let clients: JoinSet<()> = (0..count)
        .map(|_| {
            let (forwarder, pod) = (forwarder.clone(), pod.clone());
            async move { ping(&forwarder, &pod).await }
        })
        .collect();
    clients.join_all().await;
    since.elapsed()
}
