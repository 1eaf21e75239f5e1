//! Networks of a test's own: a host with a bridge, nodes behind it, clients beside it. They go when the last process and
//! the last thread in them have ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use portgate_core::cluster::{ClusterId, Provider};
use portgate_kernel::{Datapath, Identity, Place};
use rustix::process::geteuid;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub(crate) use crate::sample::{local, table};

/// How long something that should come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long something that should not come is waited for.
pub(crate) const SILENCE: Duration = Duration::from_millis(300);

/// The bridge of the first cluster.
pub(crate) const BRIDGE: &str = "br-one";

/// Whether tests can have networks. Says so where they cannot; in CI they must.
pub(crate) fn may_run() -> bool {
    if geteuid().is_root() {
        return true;
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "tests with networks need root");
    let _ = writeln!(io::stderr(), "SKIPPED: only root can have networks");
    false
}

/// A network without a connection to any other at first.
pub(crate) struct Net {
    holder: Child,
    input: Option<ChildStdin>,
}

impl Net {
    pub(crate) fn new() -> Self {
        // It says so once it has the network, and lives until its input ends.
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", "ip link set lo up && echo && cat"]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        holder.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let input = holder.stdin.take();
        Self { holder, input }
    }

    fn file(&self) -> File {
        File::open(format!("/proc/{}/ns/net", self.holder.id())).unwrap()
    }

    /// Runs this on a thread of its own in the network.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let network = self.file();
        thread::spawn(move || {
            enter(&network);
            work()
        })
    }

    /// Runs this in the network, and returns what it does.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let network = self.file();
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                enter(&network);
                work()
            });
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a shell command in the network and returns what it prints.
    pub(crate) fn shell(&self, command: &str) -> String {
        self.run(|| shell(command))
    }

    /// Echoes on this port from now on: what comes in goes back, after the network's name.
    pub(crate) fn echo(&self, name: &'static str, address: &str, port: u16) {
        let end = SocketAddrV4::new(address.parse().unwrap(), port);
        let (tcp, udp) = self.run(|| (TcpListener::bind(end).unwrap(), UdpSocket::bind(end).unwrap()));
        thread::spawn(move || {
            for stream in tcp.incoming() {
                thread::spawn(move || echo_stream(name, stream.unwrap()));
            }
        });
        thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            // An error is a client's that is gone.
            loop {
                if let Ok((length, client)) = udp.recv_from(&mut buffer) {
                    let _ = udp.send_to(&[format!("{name} ").as_bytes(), &buffer[..length]].concat(), client);
                }
            }
        });
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.holder.wait();
    }
}

fn enter(network: &File) {
    move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

fn echo_stream(name: &str, mut stream: TcpStream) {
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&[format!("{name} ").as_bytes(), &buffer[..length]].concat()).is_err() {
            return;
        }
    }
}

/// Runs a shell command in the network of this thread and returns what it prints.
pub(crate) fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// A host with a bridge, 172.30.0.1/24, and an address that is not the bridge's, 192.168.77.1.
pub(crate) struct Lab {
    pub(crate) host: Net,
    nodes: Vec<Net>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let host = Net::new();
        host.shell(&format!(
            "ip link add {BRIDGE} type bridge; ip addr add 172.30.0.1/24 dev {BRIDGE}; ip link set {BRIDGE} up
             ip link add outside type bridge; ip addr add 192.168.77.1/24 dev outside; ip link set outside up"
        ));
        Self { host, nodes: Vec::new() }
    }

    /// Adds a node to the bridge with the address 172.30.0.`number`, that echoes on port 80.
    pub(crate) fn node(mut self, number: u8, name: &'static str) -> Self {
        let node = self.attach(BRIDGE, &format!("n{number}"), &format!("172.30.0.{number}/24"), "172.30.0.1");
        node.echo(name, "0.0.0.0", 80);
        self.nodes.push(node);
        self
    }

    /// The node that was added as this, from 0.
    pub(crate) fn at(&self, index: usize) -> &Net {
        &self.nodes[index]
    }

    /// A new network with this address, on a bridge of the host's.
    pub(crate) fn attach(&self, bridge: &str, interface: &str, address: &str, gateway: &str) -> Net {
        let net = Net::new();
        let pid = net.holder.id();
        self.host.shell(&format!(
            "ip link add {interface} type veth peer name eth0 netns {pid}
             ip link set {interface} master {bridge}; ip link set {interface} up"
        ));
        net.shell(&format!("ip addr add {address} dev eth0; ip link set eth0 up; ip route add default via {gateway}"));
        net
    }

    /// A datapath for the bridge. All that has to do with it must run in the host's network.
    pub(crate) fn datapath(&self) -> Datapath {
        self.host.run(|| Datapath::start(identity("lab"), place()).unwrap())
    }
}

pub(crate) fn identity(name: &str) -> Identity {
    Identity::of(&ClusterId { provider: Provider::Network, name: name.to_owned() })
}

pub(crate) fn place() -> Place {
    Place::Host { bridge: BRIDGE.to_owned() }
}

/// Opens a connection, or fails.
pub(crate) fn connect(end: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&end.parse().unwrap(), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Sends this on a connection and returns the answer.
pub(crate) fn say(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes())?;
    let mut buffer = [0; 256];
    let length = stream.read(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// What answers over TCP at this end.
pub(crate) fn tcp(end: &str) -> io::Result<String> {
    say(&mut connect(end)?, "hello")
}

/// What answers over UDP at this end.
pub(crate) fn udp(end: &str) -> io::Result<String> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    socket.connect(end.parse::<SocketAddr>().unwrap())?;
    ask(&socket, "hello", PATIENCE)
}

/// Sends a datagram and returns the answer, if one comes within this time.
pub(crate) fn ask(socket: &UdpSocket, text: &str, wait: Duration) -> io::Result<String> {
    socket.set_read_timeout(Some(wait))?;
    socket.send(text.as_bytes())?;
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer)?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Every rule, route and setting of the network of this thread that a gate may change.
pub(crate) fn everything(bridge: &str) -> String {
    shell(&format!(
        "nft list ruleset; ip rule; ip -4 route show table all
         cd /proc/sys/net/ipv4/conf; cat {bridge}/route_localnet {bridge}/src_valid_mark {bridge}/rp_filter all/src_valid_mark"
    ))
}

/// Waits until this is so.
pub(crate) fn eventually(mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it never was so");
        thread::yield_now();
    }
}
