//! `cargo xtask bench forward`: portgate's forward beside kubectl's, both to the same port of the same Service.
//!
//! The target has to echo TCP. Without a kubeconfig it is an echo of this program's own, behind the double of an API
//! server: then the numbers say what portgate costs, and nothing of a real server.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};
use portgate_double::{Config, Double, Kubeconfig};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::args::ForwardArguments;
use crate::load::{self, Window};
use crate::ports::Ports;
use crate::process::Process;
use crate::results::{Quantity, Reading};
use crate::statistics::median;
use crate::table::table;

/// How long a forward may take until it echoes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often that is tried.
const AGAIN: Duration = Duration::from_millis(50);

/// What DESIGN §5 asks for, in multiples of kubectl's: one stream, new connections.
const TARGETS: (f64, f64) = (1.5, 5.0);

/// The recorded pod behind the double's Service `echo`, and its port.
const RECORDED: (&str, &str, u16) = ("backend", "echo-6d4f68dbd7-k8vdx", 9999);

/// Measures, and prints a table.
pub(crate) async fn run(arguments: &ForwardArguments) -> anyhow::Result<()> {
    let double = match arguments.kubeconfig {
        Some(_) => None,
        None => Some(Echo::start().await?),
    };
    let kubeconfig = match (&arguments.kubeconfig, &double) {
        (Some(file), _) => file.clone(),
        (None, Some(double)) => double.kubeconfig(),
        (None, None) => bail!("there is no kubeconfig"),
    };
    let target = Target::parse(arguments.target.as_deref().unwrap_or("svc/echo.backend:9999"))?;
    let home = tempfile::tempdir().context("cannot make a directory")?;
    let mut ports = Ports::new();
    let mut forwards = vec![portgate(arguments, &target, &kubeconfig, home.path(), ports.next()?)?];
    if let Some(program) = &arguments.kubectl {
        forwards.push(kubectl(program, &target, &kubeconfig, ports.next()?)?);
    }
    for forward in &forwards {
        forward.is_ready().await?;
    }
    let window = Window { warm_up: Duration::from_millis(500), length: Duration::from_secs(arguments.seconds.into()) };
    for round in 1..=arguments.rounds {
        for forward in &mut forwards {
            forward.measure(window).await?;
            let (stream, connections) = forward.last();
            eprintln!("round {round}, {}: {stream:.2} Gbit/s, {connections:.0} connections/s", forward.name);
        }
    }
    report(&forwards);
    Ok(())
}

/// A Service, and its port.
struct Target {
    name: String,
    namespace: String,
    port: String,
}

impl Target {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let parts = || {
            let (name, rest) = text.strip_prefix("svc/")?.split_once('.')?;
            let (namespace, port) = rest.split_once(':')?;
            Some(Self { name: name.to_owned(), namespace: namespace.to_owned(), port: port.to_owned() })
        };
        parts().with_context(|| format!("{text} is not written svc/NAME.NAMESPACE:PORT"))
    }
}

/// A forward that runs, and what was measured through it.
struct Forward {
    name: &'static str,
    address: SocketAddr,
    streams: Vec<Reading>,
    connections: Vec<Reading>,
    _process: Process,
}

impl Forward {
    fn start(name: &'static str, port: u16, command: Command) -> anyhow::Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, port).into();
        let process = Process::start(command)?;
        Ok(Self { name, address, streams: Vec::new(), connections: Vec::new(), _process: process })
    }

    async fn is_ready(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !load::echoes(self.address).await {
            if Instant::now() > deadline {
                bail!("nothing echoes through {} within {} s", self.name, PATIENCE.as_secs());
            }
            sleep(AGAIN).await;
        }
        Ok(())
    }

    async fn measure(&mut self, window: Window) -> anyhow::Result<()> {
        let failed = |what| move || format!("{what} could not be measured");
        let stream = load::echo(self.address, window).await;
        self.streams.push(stream.with_context(failed("the throughput"))?);
        let connections = load::echoed_connections(self.address, window).await;
        self.connections.push(connections.with_context(failed("new connections"))?);
        Ok(())
    }

    fn last(&self) -> (f64, f64) {
        let rate = |readings: &[Reading]| readings.last().and_then(|reading| reading.get(&Quantity::Rate).copied());
        (rate(&self.streams).unwrap_or_default(), rate(&self.connections).unwrap_or_default())
    }

    fn medians(&self) -> (f64, f64, f64) {
        let of = |readings: &[Reading], quantity| {
            median(&readings.iter().filter_map(|reading| reading.get(&quantity).copied()).collect::<Vec<_>>())
        };
        let rate = |readings| of(readings, Quantity::Rate).unwrap_or_default();
        let failures = of(&self.connections, Quantity::Failures).unwrap_or_default();
        (rate(&self.streams), rate(&self.connections), failures)
    }
}

fn portgate(
    arguments: &ForwardArguments,
    target: &Target,
    kubeconfig: &Path,
    home: &Path,
    port: u16,
) -> anyhow::Result<Forward> {
    let beside = std::env::current_exe().context("cannot find this executable")?.with_file_name("portgate");
    let mut command = Command::new(arguments.portgate.as_ref().unwrap_or(&beside));
    let Target { name, namespace, port: remote } = target;
    command.args(["forward", &format!("svc/{name}"), &format!("{port}:{remote}"), "-n", namespace]);
    command.args(["--address", "127.0.0.1", "--kubeconfig"]).arg(kubeconfig).env("XDG_RUNTIME_DIR", home);
    Forward::start("portgate forward", port, command)
}

fn kubectl(program: &Path, target: &Target, kubeconfig: &Path, port: u16) -> anyhow::Result<Forward> {
    let mut command = Command::new(program);
    let Target { name, namespace, port: remote } = target;
    command.arg("--kubeconfig").arg(kubeconfig).args(["port-forward", &format!("svc/{name}")]);
    command.args([&format!("{port}:{remote}"), "-n", namespace, "--address", "127.0.0.1"]);
    Forward::start("kubectl port-forward", port, command)
}

/// Medians, and their ratios to kubectl's.
fn report(forwards: &[Forward]) {
    let header = ["", "one stream, echoed, Gbit/s", "new connections/s", "failed"].map(str::to_owned);
    let mut rows = table(header.into());
    for forward in forwards {
        let (stream, connections, failures) = forward.medians();
        rows.add_row([
            forward.name.to_owned(),
            format!("{stream:.2}"),
            format!("{connections:.0}"),
            format!("{failures:.0}"),
        ]);
    }
    println!("{rows}");
    if let [portgate, kubectl] = forwards {
        let (ours, theirs) = (portgate.medians(), kubectl.medians());
        let ratios = (ours.0 / theirs.0, ours.1 / theirs.1);
        let met = |ratio: f64, target: f64| if ratio >= target { "met" } else { "missed" };
        println!("one stream: {:.2} of kubectl's (at least {}: {})", ratios.0, TARGETS.0, met(ratios.0, TARGETS.0));
        println!(
            "new connections: {:.2} of kubectl's (at least {}: {})",
            ratios.1,
            TARGETS.1,
            met(ratios.1, TARGETS.1)
        );
    }
}

/// An echo behind the double of an API server.
struct Echo {
    _double: Double,
    directory: tempfile::TempDir,
    _server: JoinSet<()>,
}

impl Echo {
    async fn start() -> anyhow::Result<Self> {
        let double = Double::start(Config::default()).await?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("kubeconfig"), double.kubeconfig(&Kubeconfig::default()).await?)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (namespace, pod, port) = RECORDED;
        double.serve(namespace, pod, port, listener.local_addr()?).await?;
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(comes_back(stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { _double: double, directory, _server: server })
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }
}

async fn comes_back(mut stream: TcpStream) -> std::io::Result<()> {
    let (mut from, mut to) = stream.split();
    tokio::io::copy(&mut from, &mut to).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_port_of_a_service() {
        let target = Target::parse("svc/echo.backend:9999").unwrap();
        assert_eq!(
            (target.name.as_str(), target.namespace.as_str(), target.port.as_str()),
            ("echo", "backend", "9999")
        );
        assert!(Target::parse("svc/echo:9999").is_err() && Target::parse("echo.backend:9999").is_err());
    }
}
