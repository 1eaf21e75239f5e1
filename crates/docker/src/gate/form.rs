//! The two forms of a gate's container, and the rights that each of them has.

use std::path::PathBuf;

use bollard::models::HostConfig;
use portgate_core::mapping::Local;
use portgate_core::status::{Datapath, Placement};

use super::readonly;
use super::spec::strings;
use crate::image::NOBODY;

/// Where a gate finds the engine's socket, in its container.
pub const GATE_DOCKER_SOCKET: &str = "/run/docker.sock";

/// The directory of the control sockets of gates in host placement: the same on the host and in the container.
pub const HOST_RUN_DIRECTORY: &str = "/run/portgate";

/// The variable that names the control socket in a gate's container, where it is not the usual one.
pub const SOCKET_VARIABLE: &str = "PORTGATE_SOCKET";

/// The user of a gate that programmes the kernel or starts a worker. It has no capability but those that are named.
const ROOT: u32 = 0;

/// What the kernel path needs.
const KERNEL: [&str; 1] = ["NET_ADMIN"];

/// What it takes to start a worker that is nobody.
const WORKER: [&str; 2] = ["SETUID", "SETGID"];

/// Where a gate's container runs, and what that placement needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateForm {
    /// On the cluster's network, with published ports. It needs no privilege for the relay.
    Published {
        /// The ports to publish, exactly so.
        ports: Vec<Local>,
        /// How bytes are to travel within the container.
        datapath: Datapath,
    },
    /// In the host's network.
    Host(HostForm),
}

/// What a gate in the host's network needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostForm {
    /// The engine's socket, on the engine's machine.
    pub docker_socket: PathBuf,
    /// Where the gate is to put its control socket: a path beneath [`HOST_RUN_DIRECTORY`].
    pub control_socket: PathBuf,
    /// The group of that socket, which gets the control socket too.
    pub socket_group: u32,
    /// How bytes are to travel.
    pub datapath: Datapath,
}

impl GateForm {
    /// Published placement with the relay.
    pub fn published(ports: Vec<Local>) -> Self {
        Self::Published { ports, datapath: Datapath::Relay }
    }

    /// Where the gate runs.
    pub fn placement(&self) -> Placement {
        match self {
            Self::Published { .. } => Placement::Published,
            Self::Host(_) => Placement::Host,
        }
    }

    /// How bytes are to travel.
    pub fn datapath(&self) -> Datapath {
        match self {
            Self::Published { datapath, .. } | Self::Host(HostForm { datapath, .. }) => *datapath,
        }
    }

    /// The user and the group of the gate's process.
    pub(super) fn user(&self) -> u32 {
        match self {
            Self::Published { datapath: Datapath::Relay, .. } => NOBODY,
            Self::Published { datapath: Datapath::Kernel, .. } | Self::Host(_) => ROOT,
        }
    }

    /// The command, after the image's entry point.
    pub(super) fn command(&self, name: &str, network: &str) -> Vec<String> {
        let mut command = vec!["gate", "run", "--name", name];
        match self {
            Self::Published { datapath: Datapath::Relay, .. } => {}
            Self::Published { datapath, .. } => command.extend(["--datapath", datapath.name()]),
            Self::Host(form) => {
                command.extend(["--placement", "host", "--datapath", form.datapath.name(), "--network", network]);
            }
        }
        strings(&command)
    }

    /// The capabilities that are left, of none.
    pub(super) fn capabilities(&self) -> Option<Vec<String>> {
        match self {
            Self::Published { datapath: Datapath::Relay, .. } => None,
            Self::Published { datapath: Datapath::Kernel, .. } => Some(strings(&[&KERNEL, &WORKER[..]].concat())),
            Self::Host(form) => Some(form.capabilities()),
        }
    }
}

impl HostForm {
    /// In the host's network, ports below 1024 need one as well.
    fn capabilities(&self) -> Vec<String> {
        let kernel = match self.datapath {
            Datapath::Kernel => &KERNEL[..],
            Datapath::Relay => &[],
        };
        strings(&[kernel, &["NET_BIND_SERVICE"], &WORKER].concat())
    }

    /// What is added to the configuration of every gate.
    ///
    /// The sources are `Binds`, not `Mounts`: of those the engine makes a missing directory at each start, and after a
    /// reboot `/run` is empty. Without `CAP_CHOWN`, a process may give its files to groups that it is in.
    pub(super) fn host_config(&self, common: HostConfig) -> HostConfig {
        HostConfig {
            network_mode: Some("host".to_owned()),
            ipc_mode: Some("none".to_owned()),
            group_add: Some(vec![self.socket_group.to_string()]),
            binds: Some(vec![
                format!("{}:{GATE_DOCKER_SOCKET}", self.docker_socket.display()),
                format!("{HOST_RUN_DIRECTORY}:{HOST_RUN_DIRECTORY}"),
            ]),
            readonly_paths: Some(readonly::paths(self.datapath)),
            ..common
        }
    }
}
