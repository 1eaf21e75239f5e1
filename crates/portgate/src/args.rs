//! What can be typed.

mod choices;
mod forward;
mod gate;
mod kubernetes;
mod values;

use std::net::IpAddr;
use std::time::Duration;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use portgate_core::spec::{PortSpec, Selector};

pub(crate) use choices::{
    ApiArguments, ClusterArguments, DatapathArgument, Format, ImageArguments, OutputArguments, PlacementArgument,
    ViaArgument,
};
pub(crate) use forward::{Asked, ForwardArguments, LocalPort, WordError};
pub(crate) use gate::GateCommand;
pub(crate) use kubernetes::{AutostartArguments, AutostartCommand, ServicesArguments};
use values::{address, moment, patience, port_spec, selector};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Open ports on a Kubernetes cluster that is already running.
///
/// Finds the local cluster (k3d, kind, minikube, or any Docker network), and opens host ports, TCP and UDP, onto it.
/// Nothing in the cluster is changed.
#[derive(Debug, Parser)]
#[command(name = "portgate", version, styles = STYLES, max_term_width = 100, propagate_version = false)]
#[command(after_help = "\
Examples:
  portgate open 30999 30998/udp     open two NodePorts of the one running cluster on localhost
  portgate open 8080:svc/web.shop   open a Service, with or without a NodePort
  portgate services                 list the Services, and where they are open
  portgate ls                       show every open port
  portgate test 30999               try the way to it, hop by hop
  portgate close 30998/udp          close one port
  portgate down                     close all, and remove what portgate made
  portgate forward svc/web 8080:80  what kubectl port-forward does, and it holds
  portgate demo                     see it work, without a cluster")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Open(OpenArguments),
    Forward(ForwardArguments),
    Close(CloseArguments),
    /// List the open ports
    #[command(
        visible_alias = "list",
        alias = "ps",
        after_help = "\
Examples:
  portgate ls
  portgate ls -o wide               with counters, gates and the last error
  portgate ls -o json               for scripts: docs/guide/reference.md describes every field"
    )]
    Ls(ListArguments),
    Services(ServicesArguments),
    /// List the local clusters and their nodes
    #[command(after_help = "\
Examples:
  portgate clusters
  portgate clusters -o json")]
    Clusters(ClustersArguments),
    Test(TestArguments),
    /// Print what a cluster's gates say
    #[command(after_help = "\
Examples:
  portgate logs -f                  go on as more is said
  portgate logs --tail 100
  portgate logs --since 10m")]
    Logs(LogsArguments),
    /// Stop a cluster's gates; their ports stay known, and closed until `portgate start`
    #[command(after_help = "\
Examples:
  portgate stop                     stays stopped, also after a reboot
  portgate stop --cluster mycluster")]
    Stop(ClusterArguments),
    /// Start a cluster's gates, with the ports that they had
    #[command(after_help = "\
Examples:
  portgate start
  portgate start --cluster mycluster")]
    Start(ClusterArguments),
    /// Restart a cluster's gates
    ///
    /// A gate that was made from another portgate than this is replaced. The list of nodes is brought up to date, and
    /// the counters start anew.
    #[command(after_help = "\
Examples:
  portgate restart                  after an upgrade of portgate, or a new node")]
    Restart(RestartArguments),
    /// Move a cluster's ports to another placement or datapath
    ///
    /// A cluster's gate stays where it was made until `portgate migrate` or `portgate down`. The ways to all targets
    /// are proven from the new gate first; then the gates that run now are replaced one after the other, and their
    /// ports proven again. Connections through a port break when it moves.
    #[command(after_help = "\
Examples:
  portgate migrate                  to host placement, where ports are live and the kernel carries them
  portgate migrate --placement published
  portgate migrate --datapath relay")]
    Migrate(MigrateArguments),
    /// Close every port of a cluster, and remove its gates and their volume
    #[command(after_help = "\
Examples:
  portgate down
  portgate down --cluster mycluster")]
    Down(ClusterArguments),
    /// Make a throw-away cluster and open its ports, to see portgate work
    #[command(after_help = "\
Examples:
  portgate demo
  portgate demo --down              remove it all")]
    Demo(DemoArguments),
    Autostart(AutostartArguments),
    /// Print the version of portgate and of the Docker engine
    #[command(after_help = "\
Examples:
  portgate version
  portgate version -o json")]
    Version(OutputArguments),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  portgate completion bash > ~/.local/share/bash-completion/completions/portgate
  portgate completion zsh > \"${fpath[1]}/_portgate\"
  portgate completion fish > ~/.config/fish/completions/portgate.fish")]
    Completion {
        /// The shell
        shell: Shell,
    },
    /// What runs inside a gate's container
    #[command(hide = true)]
    Gate {
        #[command(subcommand)]
        command: GateCommand,
    },
}

/// Open host ports onto a cluster
///
/// A PORT is written `[ADDRESS:][HOSTPORT:]TARGET[/tcp|/udp|/tcp+udp]`. TARGET is a node port (`30999`), a range of
/// them (`30000-30020`), a Service (`svc/NAME[.NAMESPACE][:PORT-OR-NAME]`), a pod or the pods of a workload
/// (`pod/NAME[.NAMESPACE]:PORT`, `deploy/`, `sts/`, `ds/`), or a port of one container on the cluster's network
/// (`node/CONTAINER:PORT`). Without HOSTPORT the host's port is the target's; a Service gets its node port, else its own
/// port, else one from the plan 30000-30099 (HTTP), 30300-30399 (databases), 30900-30999 (all else). Without a protocol it
/// is that of the Service's port, else TCP.
///
/// All of the ports are opened, or none. Each new one is tested: where its target does not answer yet, the port stays
/// open, and the exit status is 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate open 30999 30998/udp             two node ports, on localhost
  portgate open 8080:30080                  localhost:8080 leads to node port 30080
  portgate open 53:30053/tcp+udp            both protocols
  portgate open 30000-30020                 a range
  portgate open 8080:svc/web.shop:http      Service web in namespace shop, its port named http
  portgate open svc/dns.kube-system         TCP and UDP, as the Service has them
  portgate open --all -n shop               every Service of a namespace
  portgate open 0.0.0.0:30080:30080         for other machines too (mind who they are)
  portgate open node/k3d-mycluster-server-0:6443
  portgate open --dry-run 30999             only say what would be done")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct OpenArguments {
    /// The ports to open
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "PORT", value_parser = port_spec)]
    pub(crate) ports: Vec<PortSpec>,
    /// Open every port of every Service: of all namespaces, or of the one that -n names
    #[arg(long)]
    pub(crate) all: bool,
    /// With --all, only Services with these labels, as app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR", requires = "all")]
    pub(crate) selector: Option<String>,
    /// Listen on this address, instead of 127.0.0.1 and `[::1]`, where a PORT does not say; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) bind: Vec<IpAddr>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Test each new port before returning (the default)
    #[arg(long, overrides_with = "no_wait", hide_short_help = true)]
    pub(crate) wait: bool,
    /// Return as soon as the ports are open, without testing them
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Where the cluster's gate is to run, if it has none yet [default: host, where that can be]
    #[arg(long, value_name = "PLACEMENT", env = "PORTGATE_PLACEMENT")]
    pub(crate) placement: Option<PlacementArgument>,
    /// How bytes are to travel, if the cluster has no gate yet [default: kernel in host placement, else relay]
    #[arg(long, value_name = "DATAPATH", env = "PORTGATE_DATAPATH")]
    pub(crate) datapath: Option<DatapathArgument>,
    /// How the targets are to be reached
    #[arg(long, value_name = "WAY", default_value = "network", conflicts_with = "dry_run")]
    pub(crate) via: ViaArgument,
    /// Open more than 256 ports at once in published placement
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    #[command(flatten)]
    pub(crate) api: ApiArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Close ports
///
/// A PORT is the near end of an open port: `[ADDRESS:]PORT[-LAST][/PROTOCOL]`. What is not said matches everything.
/// Connections through a closed port end; those of other ports go on. In published placement Docker keeps a closed port
/// reserved for its gate until the gate's last port closes; `portgate open` can open it there again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate close 30998/udp
  portgate close 30000-30020
  portgate close --all")]
pub(crate) struct CloseArguments {
    /// The ports to close
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "PORT", value_parser = selector)]
    pub(crate) ports: Vec<Selector>,
    /// Close all ports of the cluster
    #[arg(long)]
    pub(crate) all: bool,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ClustersArguments {
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Try the way to open ports, hop by hop
///
/// TCP: connects, and says how long that took. UDP: sends a datagram and waits for a reply; silence is no proof, and is
/// called that. Exits with 1 if a port is broken; silence is not broken.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate test                             all open ports
  portgate test 30999 --send 'hello' --expect 'hello'
  portgate test 30998/udp --send hello
  portgate test 30080 --http /admin/user --host dev.admin.test.com")]
pub(crate) struct TestArguments {
    /// The open ports to test, as `[ADDRESS:]PORT[-LAST][/PROTOCOL]`; all, if none is named
    #[arg(value_name = "PORT", value_parser = selector)]
    pub(crate) ports: Vec<Selector>,
    /// Send this text; without it, nothing by TCP and a line feed by UDP
    #[arg(long, value_name = "TEXT")]
    pub(crate) send: Option<String>,
    /// Fail unless the answer contains this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) expect: Option<String>,
    /// Make an HTTP request for this path, and print the status line and the headers; any status will do
    #[arg(long, value_name = "PATH", conflicts_with_all = ["send", "expect"])]
    pub(crate) http: Option<String>,
    /// The Host header of the HTTP request [default: localhost:PORT]
    #[arg(long, value_name = "NAME", requires = "http")]
    pub(crate) host: Option<String>,
    /// How long to wait for an answer: 500ms, 2s, 1m30s
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = patience)]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    /// Go on as more is said
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only this many lines from the end
    #[arg(long, value_name = "LINES")]
    pub(crate) tail: Option<u64>,
    /// Only what was said since then: 10m, 2h, or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub(crate) since: Option<jiff::Timestamp>,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

#[derive(Debug, Args)]
pub(crate) struct RestartArguments {
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

#[derive(Debug, Args)]
pub(crate) struct MigrateArguments {
    /// Where the cluster's ports are to be carried [default: host, where that can be]
    #[arg(long, value_name = "PLACEMENT", env = "PORTGATE_PLACEMENT")]
    pub(crate) placement: Option<PlacementArgument>,
    /// How bytes are to travel [default: kernel in host placement, else relay]
    #[arg(long, value_name = "DATAPATH", env = "PORTGATE_DATAPATH")]
    pub(crate) datapath: Option<DatapathArgument>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) image: ImageArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Remove what the demo made
    #[arg(long)]
    pub(crate) down: bool,
    #[command(flatten)]
    pub(crate) image: ImageArguments,
}

impl OpenArguments {
    /// Whether each new port is tested.
    pub(crate) fn proves(&self) -> bool {
        self.wait || !self.no_wait
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
