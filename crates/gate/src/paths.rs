//! Where a gate keeps its files.

use std::path::{Path, PathBuf};

use portgate_core::cluster::ClusterId;

pub use portgate_docker::gate::{
    GATE_DOCKER_SOCKET as ENGINE_SOCKET, HOST_RUN_DIRECTORY as HOST_DIRECTORY, SOCKET_VARIABLE,
};

/// The control socket in the container of a gate in published placement, on a tmpfs.
pub const CONTAINER_SOCKET: &str = "/run/portgate.sock";

/// The control socket of a cluster's gate in host placement: `/run/portgate/k3d-mycluster/control.sock`.
pub fn host_socket(cluster: &ClusterId) -> PathBuf {
    let directory = format!("{}-{}", cluster.provider, cluster.name);
    [HOST_DIRECTORY, &directory, "control.sock"].iter().collect()
}

/// The files of one gate in process placement.
#[derive(Clone, Debug)]
pub struct ProcessPaths {
    /// The directory of what goes with a reboot, mode 0700.
    pub directory: PathBuf,
    /// The directory of the state, mode 0700: the same one, unless the gate is to be put back after a reboot.
    pub keep: PathBuf,
}

impl ProcessPaths {
    /// The files of the gate of this name, below [`runtime_directory`].
    pub fn new(runtime: &Path, gate: &str) -> Self {
        let directory = runtime.join(gate);
        Self { keep: directory.clone(), directory }
    }

    /// The same files, with the state below [`state_directory`].
    #[must_use]
    pub fn kept(self, state: &Path) -> Self {
        let keep = state.join(self.directory.file_name().unwrap_or_default());
        Self { keep, ..self }
    }

    /// The control socket, mode 0600.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// The state file.
    pub fn state(&self) -> PathBuf {
        self.keep.join("state.json")
    }

    /// What the gate says.
    pub fn log(&self) -> PathBuf {
        self.directory.join("gate.log")
    }
}

/// The directory of all process gates of one user: `$XDG_RUNTIME_DIR/portgate`, and `portgate-<uid>` in the directory
/// for temporary files where the variable is not set.
pub fn runtime_directory(xdg_runtime_dir: Option<PathBuf>, temporary: &Path, uid: u32) -> PathBuf {
    match xdg_runtime_dir {
        Some(directory) if directory.is_absolute() => directory.join("portgate"),
        _ => temporary.join(format!("portgate-{uid}")),
    }
}

/// The directory of what process gates of one user keep over a reboot: `$XDG_STATE_HOME/portgate`, and
/// `.local/state/portgate` in the home directory where the variable is not set.
pub fn state_directory(xdg_state_home: Option<PathBuf>, home: &Path) -> PathBuf {
    match xdg_state_home {
        Some(directory) if directory.is_absolute() => directory.join("portgate"),
        _ => home.join(".local/state/portgate"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_runtime_directory_is_ignored() {
        let temporary = Path::new("/tmp");
        let directory = |xdg: &str| runtime_directory(Some(PathBuf::from(xdg)), temporary, 1000);
        assert_eq!(directory("/run/user/1000"), Path::new("/run/user/1000/portgate"));
        assert_eq!(directory("run"), Path::new("/tmp/portgate-1000"));
        assert_eq!(runtime_directory(None, temporary, 1000), Path::new("/tmp/portgate-1000"));
    }

    #[test]
    fn what_survives_a_reboot_is_in_the_home_directory() {
        let home = Path::new("/home/u");
        assert_eq!(state_directory(None, home), Path::new("/home/u/.local/state/portgate"));
        assert_eq!(state_directory(Some(PathBuf::from("/var/u")), home), Path::new("/var/u/portgate"));
        let paths = ProcessPaths::new(Path::new("/run/portgate"), "g").kept(Path::new("/var/u/portgate"));
        assert_eq!(paths.socket(), Path::new("/run/portgate/g/control.sock"));
        assert_eq!(paths.state(), Path::new("/var/u/portgate/g/state.json"));
    }
}
