//! What the tests are played on: a relay, doors into it, and backends behind it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test binary compiles this module, and uses its part"
)]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use portgate_core::mapping::{HostAddresses, Local};
use portgate_core::port::{Port, Protocol};
use portgate_core::status::Counters;
use portgate_core::table::{Backend, NoBackend, Reach, Resolution};
use portgate_relay::{Bound, Demand, Limits, Relay, bind};

pub mod tcp;
pub mod udp;

/// A relay under test.
pub struct Stage {
    pub relay: Relay,
    pub demand: Arc<Demand>,
}

/// An open mapping with one socket.
#[derive(Clone)]
pub struct Door {
    pub local: Local,
    pub address: SocketAddr,
}

/// A mapping to be opened: `stage.tcp().on("127.0.0.2").to(&[backend])`.
pub struct Opening<'a> {
    stage: &'a mut Stage,
    protocol: Protocol,
    address: IpAddr,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(Limits::default())
    }

    pub fn with(limits: Limits) -> Self {
        let demand = Arc::new(Demand::new(Duration::MAX));
        Self { relay: Relay::new(limits, demand.clone()), demand }
    }

    pub fn tcp(&mut self) -> Opening<'_> {
        Opening { stage: self, protocol: Protocol::Tcp, address: [127, 0, 0, 1].into() }
    }

    pub fn udp(&mut self) -> Opening<'_> {
        Opening { stage: self, protocol: Protocol::Udp, address: [127, 0, 0, 1].into() }
    }

    pub fn route(&self, door: &Door, backends: &[SocketAddr]) {
        self.relay.route(&door.local, Ok(nodes(backends)));
    }

    pub fn counters(&self, door: &Door) -> Counters {
        self.relay.counters(&door.local).expect("the door is open")
    }

    /// Waits until the counters are as they should be. They are exact, but a task may still be on its way to them.
    pub async fn counted(&self, door: &Door, condition: impl Fn(&Counters) -> bool) -> Counters {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let counters = self.counters(door);
            if condition(&counters) {
                return counters;
            }
            assert!(std::time::Instant::now() < deadline, "in the end, it was {counters:?}");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until no byte moves through the door any more, since all buffers behind it are full.
    pub async fn stalled(&self, door: &Door) {
        const TURNS: usize = 1000;
        let mut moved = Counters::default();
        while moved != self.counters(door) {
            moved = self.counters(door);
            for _ in 0..TURNS {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Plays one round of the resolver: waits for a demand, leads the door elsewhere, reports the end of the round.
    pub async fn resolve(&self, door: &Door, backends: &[SocketAddr]) {
        soon(self.demand.until_failed()).await;
        soon(self.demand.next()).await;
        self.route(door, backends);
        self.demand.refreshed();
    }
}

impl Opening<'_> {
    pub fn on(mut self, address: &str) -> Self {
        self.address = address.parse().unwrap();
        self
    }

    pub fn to(self, backends: &[SocketAddr]) -> Door {
        self.open(Ok(nodes(backends)))
    }

    pub fn without_backend(self) -> Door {
        self.open(Err(NoBackend::ClusterStopped))
    }

    fn open(self, resolution: Resolution) -> Door {
        let socket = bind(SocketAddr::new(self.address, 0), self.protocol).unwrap();
        let address = socket.address().unwrap();
        let local = Local {
            addresses: HostAddresses::single(address.ip()),
            port: Port::new(address.port()).unwrap(),
            protocol: self.protocol,
        };
        self.stage.relay.open(local.clone(), vec![socket], resolution).unwrap();
        Door { local, address }
    }
}

impl Door {
    /// Binds the door's address once more, as the next mapping of this port would.
    pub fn bind_again(&self) -> std::io::Result<Bound> {
        bind(self.address, self.local.protocol)
    }
}

/// A node for each address, called `node-` and its port.
pub fn nodes(addresses: &[SocketAddr]) -> Vec<Backend> {
    let backend = |address: &SocketAddr| Backend {
        node: format!("node-{}", address.port()),
        address: *address,
        reach: Reach::Node,
    };
    addresses.iter().map(backend).collect()
}

/// How long anything may take before a test fails. Nothing waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// The outcome of what should happen soon.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it should have happened by now")
}

/// Allows this process as many file descriptors as it may have.
pub fn allow_many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}
