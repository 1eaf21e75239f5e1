//! What the tests are played on: a worker, doors into it, and backends behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test binary compiles this module, and uses its part"
)]

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};
use portgate_core::status::Counters;
use portgate_core::table::{Backend, Reach};
use portgate_gate::Limits;
use portgate_gate::worker::{Worker, WorkerEvent, WorkerSettings};
use portgate_relay::{Bound, Demand, bind};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Resource, Signal, getrlimit, kill_process, pidfd_open, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// How long anything may take before a test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// A worker under test, and what it reported.
pub struct Stage {
    pub worker: Worker,
    pub events: Vec<WorkerEvent>,
}

/// An open mapping with one socket.
#[derive(Clone)]
pub struct Door {
    pub local: Local,
    pub address: SocketAddr,
}

/// The settings of a worker that stays who the test is.
pub fn settings() -> WorkerSettings {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_portgate-test-worker"));
    WorkerSettings { program, arguments: Vec::new(), identity: None, limits: Limits::default() }
}

/// The settings of a worker that a shell starts, in the way that `script` says; `$0` is the worker's program.
pub fn started_by(script: &str) -> WorkerSettings {
    let worker = settings();
    let arguments = ["-c".to_owned(), script.to_owned(), worker.program.display().to_string()];
    WorkerSettings { program: PathBuf::from("/bin/sh"), arguments: arguments.into(), ..worker }
}

/// The settings of a worker that breaks the protocol in this manner.
pub fn hostile(manner: &str) -> WorkerSettings {
    WorkerSettings { arguments: vec!["hostile".to_owned(), manner.to_owned()], ..settings() }
}

impl Stage {
    pub async fn new() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: WorkerSettings) -> Self {
        Self::on_demand(settings, Arc::default()).await
    }

    /// With a worker whose routes somebody has to refresh.
    pub async fn on_demand(settings: WorkerSettings, demand: Arc<Demand>) -> Self {
        Self { worker: soon(Worker::start(settings, demand)).await.unwrap(), events: Vec::new() }
    }

    /// A mapping to be opened: `stage.tcp(&[backend])`.
    pub fn tcp(&mut self, backends: &[SocketAddr]) -> Door {
        self.open(Protocol::Tcp, backends)
    }

    pub fn udp(&mut self, backends: &[SocketAddr]) -> Door {
        self.open(Protocol::Udp, backends)
    }

    fn open(&mut self, protocol: Protocol, backends: &[SocketAddr]) -> Door {
        let (door, socket) = door(protocol);
        self.worker.open(door.local.clone(), vec![socket], Ok(nodes(backends))).unwrap();
        door
    }

    pub fn route(&mut self, door: &Door, backends: &[SocketAddr]) {
        self.worker.route(&door.local, Ok(nodes(backends)));
    }

    /// Drives the worker, as a gate's loop does, while something else happens.
    pub async fn meanwhile<T>(&mut self, happens: impl Future<Output = T>) -> T {
        let mut happens = std::pin::pin!(happens);
        loop {
            tokio::select! {
                outcome = &mut happens => return outcome,
                event = self.worker.next() => self.events.push(event),
            }
        }
    }

    /// The next event.
    pub async fn event(&mut self) -> WorkerEvent {
        if self.events.is_empty() { soon(self.worker.next()).await } else { self.events.remove(0) }
    }

    pub async fn counters(&mut self, door: &Door) -> Counters {
        soon(self.worker.counters()).await.remove(&door.local).expect("the door is open")
    }

    /// Waits until the counters are as they should be. They are exact, but a task may still be on its way to them.
    pub async fn counted(&mut self, door: &Door, condition: impl Fn(&Counters) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let counters = self.counters(door).await;
            if condition(&counters) {
                return;
            }
            assert!(Instant::now() < deadline, "in the end, it was {counters:?}");
        }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.worker.pid().expect("it runs").try_into().unwrap()).unwrap()
    }

    pub fn kill(&self) {
        kill_process(self.pid(), Signal::KILL).unwrap();
    }
}

/// A door that nothing is behind yet, and its socket.
pub fn door(protocol: Protocol) -> (Door, Bound) {
    let socket = bind(([127, 0, 0, 1], 0).into(), protocol).unwrap();
    let address = socket.address().unwrap();
    let addresses = HostAddresses::single(address.ip());
    let local = Local { addresses, port: Port::new(address.port()).unwrap(), protocol };
    (Door { local, address }, socket)
}

/// A node for each address, called `node-` and its port.
pub fn nodes(addresses: &[SocketAddr]) -> Vec<Backend> {
    let node = |address: &SocketAddr| format!("node-{}", address.port());
    let backend = |address| Backend { node: node(address), address: *address, reach: Reach::Node };
    addresses.iter().map(backend).collect()
}

/// The outcome of what should happen soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// A backend that greets each TCP client with `greeting`, then returns what it gets.
pub async fn greeter(greeting: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = write.write_all(greeting.as_bytes()).await;
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    address
}

/// A backend that returns what it gets over TCP.
pub async fn echo() -> SocketAddr {
    greeter("").await
}

/// A backend that returns each datagram.
pub async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], client).await;
        }
    });
    address
}

/// An address where nothing listens: connections are refused.
pub async fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Connects, and expects that what is sent comes back, after the `greeting`.
pub async fn greeted(address: SocketAddr, greeting: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"over and out").await?;
    let mut received = vec![0; greeting.len() + 12];
    stream.read_exact(&mut received).await?;
    assert_eq!(received, format!("{greeting}over and out").as_bytes());
    Ok(stream)
}

/// Connects, and expects that what is sent comes back.
pub async fn echoed(address: SocketAddr) -> TcpStream {
    soon(greeted(address, "")).await.unwrap()
}

/// Expects that a datagram comes back. None is lost on the way: they are as reliable as the relay here.
pub async fn echoed_udp(address: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(address).await.unwrap();
    socket.send(b"over").await.unwrap();
    let mut buffer = [0; 16];
    let length = soon(socket.recv(&mut buffer)).await.unwrap();
    assert_eq!(&buffer[..length], b"over");
}

/// Expects the other end to reset the connection.
pub async fn expect_reset(stream: &mut TcpStream) {
    let error = soon(stream.read_to_end(&mut Vec::new())).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// Ends when the process has; it may have already, if `pid` is this process's child.
pub fn end_of(pid: Pid) -> impl Future<Output = ()> {
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let wait = move || poll(&mut [PollFd::new(&process, PollFlags::IN)], None).unwrap();
    let ended = tokio::task::spawn_blocking(wait);
    async move {
        soon(ended).await.unwrap();
    }
}

/// Allows this process as many file descriptors as it may have.
pub fn allow_many_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
