//! What can be typed about Services, and about forwards that come back after a reboot.

use clap::{Args, Subcommand};

use super::{ApiArguments, ClusterArguments, OutputArguments};

/// List the Services of a cluster
///
/// One line a port: how a gate reaches it, and where it is open already.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate services
  portgate services -n shop
  portgate services -l app=web -o json")]
pub(crate) struct ServicesArguments {
    /// Only Services with these labels, as app=web,tier!=cache
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(crate) selector: Option<String>,
    #[command(flatten)]
    pub(crate) api: ApiArguments,
    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

/// Put forwards back after a reboot
///
/// What `portgate forward --detach` and `portgate open --via api` have opened is a process, which a reboot ends. Once
/// enabled, it is started again when you log in: by a systemd user unit, or by launchd on macOS. A gate in a container
/// needs none of this: Docker starts it again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  portgate autostart enable
  portgate autostart disable
  loginctl enable-linger            on Linux: start them at boot, before you log in")]
pub(crate) struct AutostartArguments {
    #[command(subcommand)]
    pub(crate) command: AutostartCommand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum AutostartCommand {
    /// Start forwards again at each login
    Enable,
    /// Do so no longer
    Disable,
    /// Start those forwards that do not run, as is done at login
    Run,
}
