//! What was typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Measures portgate beside the direct way to a node and beside other proxies.
///
/// It makes a cluster of its own, with k3d's labels and one node, and removes it again. Traffic stays on this machine.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) bench: BenchArguments,
}

/// What else this program is.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Be the node: serve until SIGTERM.
    #[command(hide = true)]
    Serve,
    /// Measure `portgate forward` beside `kubectl port-forward`.
    ///
    /// Without a kubeconfig, over the double of an API server, and without kubectl.
    Forward(ForwardArguments),
}

/// How forwards are measured.
#[derive(Args, Debug)]
pub(crate) struct ForwardArguments {
    /// The kubeconfig that leads to the API server.
    #[arg(long, value_name = "FILE", requires = "target")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A port of a Service that echoes TCP, as svc/NAME.NAMESPACE:PORT.
    #[arg(long, value_name = "TARGET", requires = "kubeconfig")]
    pub(crate) target: Option<String>,
    /// kubectl, to compare with.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubectl: Option<PathBuf>,
    /// How often everything is measured; the medians count.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,
    /// How long each measurement takes, in seconds.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=600))]
    pub(crate) seconds: u32,
    /// portgate's executable [default: beside this one].
    #[arg(long, value_name = "FILE")]
    pub(crate) portgate: Option<PathBuf>,
}

/// How the measurement is made.
#[derive(Args, Debug)]
pub(crate) struct BenchArguments {
    /// One short round of the main measurements: under two minutes in all, and less exact.
    #[arg(long)]
    pub(crate) quick: bool,
    /// How often everything is measured; the medians count [default: 3, or 1 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: Option<u32>,
    /// Only what has this word in its name: measurements (`tcp`, `udp`, `http`, `connections`), paths (`straight`,
    /// `kernel`, `relay`, `published`), `memory`, `commands`. Can be repeated.
    #[arg(long, value_name = "WORD")]
    pub(crate) only: Vec<String>,
    /// Print JSON in place of tables.
    #[arg(long)]
    pub(crate) json: bool,
    /// Draw the main results into this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// portgate's executable [default: beside this one].
    #[arg(long, value_name = "FILE")]
    pub(crate) portgate: Option<PathBuf>,
    /// Where the packages of the peers were unpacked.
    #[arg(long, value_name = "DIR")]
    pub(crate) peers: Option<PathBuf>,
}
