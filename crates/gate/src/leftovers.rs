//! What a gate in host placement leaves on the host if it is killed, and its removal.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portgate_core::cluster::ClusterId;

use crate::paths::{HOST_DIRECTORY, host_socket};

/// The directory of the running system's files, of which [`HOST_DIRECTORY`] is one.
const RUN: &str = "/run";

/// What was left could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or directory.
    #[error("cannot remove {path}")]
    File {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Something in the kernel.
    #[cfg(target_os = "linux")]
    #[error(transparent)]
    Kernel(#[from] portgate_kernel::Error),
}

/// Whether a gate of this cluster has left something, as far as everybody can see.
pub fn exist(cluster: &ClusterId) -> bool {
    host_socket(cluster).parent().is_some_and(Path::exists)
}

/// Whether the directory of all gates is there, and of no use any more.
pub fn is_directory_idle() -> bool {
    fs::read_dir(HOST_DIRECTORY).is_ok_and(|mut entries| entries.next().is_none())
}

/// Removes it, and the directory of all gates with the last of them. Takes root and `NET_ADMIN`. `bridge` is the
/// interface of the cluster's network, if it is still there; `run` is where the host's `/run` is.
pub fn remove(cluster: &ClusterId, bridge: Option<&str>, run: &Path) -> Result<(), Error> {
    let kernel = clean_kernel(cluster, bridge);
    let here = |path: &Path| run.join(path.strip_prefix(RUN).unwrap_or(path));
    if let Some(directory) = host_socket(cluster).parent() {
        let path = here(directory);
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error::File { path, source }),
            _ => {}
        }
    }
    // It stays for as long as other gates are in it.
    let _ = fs::remove_dir(here(Path::new(HOST_DIRECTORY)));
    kernel
}

#[cfg(target_os = "linux")]
fn clean_kernel(cluster: &ClusterId, bridge: Option<&str>) -> Result<(), Error> {
    Ok(portgate_kernel::clean(&portgate_kernel::Identity::of(cluster), bridge)?)
}

/// There is no kernel path.
#[cfg(not(target_os = "linux"))]
fn clean_kernel(_cluster: &ClusterId, _bridge: Option<&str>) -> Result<(), Error> {
    Ok(())
}
