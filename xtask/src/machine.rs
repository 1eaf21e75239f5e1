//! What the set-up needs to know of this machine.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::engine::{Endpoint, Engine};
use crate::invocation::Invocation;

/// This machine, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Where the Docker engine is, or should be.
    pub(crate) endpoint: Endpoint,
    /// Whether it answers.
    pub(crate) engine: Engine,
    /// Whether an engine is installed, answering or not.
    pub(crate) installed: bool,
    /// The operating system.
    pub(crate) system: System,
    /// What starts services.
    pub(crate) init: Init,
    /// How root's rights are had, if they are.
    pub(crate) privilege: Option<Privilege>,
}

/// An operating system, as far as its packages differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum System {
    /// Debian, Ubuntu, and what descends from them.
    Debian,
    /// Fedora, and what descends from it.
    Fedora,
    /// Any other Linux.
    Linux,
    /// macOS.
    MacOs,
    /// Anything else.
    Other,
}

/// What starts services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Init {
    /// systemd runs as process 1.
    Systemd,
    /// Nothing that we know of, as in a container.
    Unknown,
}

/// How root's rights are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// We have them.
    Root,
    /// By `sudo`.
    Sudo {
        /// The number of the group that we are in without it.
        group: u32,
    },
}

impl Machine {
    /// Looks at this machine.
    pub(crate) fn observe() -> Self {
        let endpoint = Endpoint::new(env::var("DOCKER_HOST").ok().as_deref());
        let engine = match endpoint.probe() {
            // docker's CLI knows more places than we do: the contexts of Docker Desktop, colima and others.
            Engine::Silent if Invocation::new("docker version").succeeds() => Engine::Trusted,
            found => found,
        };
        Self {
            endpoint,
            engine,
            installed: has_program("dockerd"),
            system: System::new(env::consts::OS, &fs::read_to_string("/etc/os-release").unwrap_or_default()),
            // Where libsystemd's sd_booted(3) looks.
            init: if Path::new("/run/systemd/system").is_dir() { Init::Systemd } else { Init::Unknown },
            privilege: privilege(),
        }
    }
}

impl System {
    /// The system of this name (`std::env::consts::OS`) and this content of `/etc/os-release`.
    fn new(os: &str, os_release: &str) -> Self {
        let ids: Vec<&str> = os_release
            .lines()
            .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
            .flat_map(|value| value.trim_matches(['"', '\'']).split_whitespace())
            .collect();
        match os {
            "linux" if ids.contains(&"debian") || ids.contains(&"ubuntu") => Self::Debian,
            "linux" if ids.contains(&"fedora") => Self::Fedora,
            "linux" => Self::Linux,
            "macos" => Self::MacOs,
            _ => Self::Other,
        }
    }
}

/// The owner of `/proc/self` is the user that this process acts as. Where there is no `/proc`, nothing is installed.
fn privilege() -> Option<Privilege> {
    let owner = fs::metadata("/proc/self").ok()?;
    match owner.uid() {
        0 => Some(Privilege::Root),
        _ => has_program("sudo").then(|| Privilege::Sudo { group: owner.gid() }),
    }
}

/// Whether a program is on the path, or where Debian keeps root's programs off the path of others.
fn has_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into()]).any(|directory| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_tells_the_family() {
        assert_eq!(System::new("linux", "NAME=\"Debian\"\nID=debian\n"), System::Debian);
        assert_eq!(System::new("linux", "ID=ubuntu\nID_LIKE=debian\n"), System::Debian);
        assert_eq!(System::new("linux", "ID=\"linuxmint\"\nID_LIKE=\"ubuntu debian\"\n"), System::Debian);
        assert_eq!(System::new("linux", "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), System::Fedora);
        assert_eq!(System::new("linux", "ID=nixos\n"), System::Linux);
        assert_eq!(System::new("linux", ""), System::Linux);
    }

    #[test]
    fn other_systems_have_no_os_release() {
        assert_eq!(System::new("macos", ""), System::MacOs);
        assert_eq!(System::new("freebsd", "ID=freebsd\n"), System::Other);
    }
}
