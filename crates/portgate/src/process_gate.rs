//! Gates in process placement: a process of this user, with a directory of its own.

use std::fs::{self, DirBuilder, File, ReadDir};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use portgate_core::state::GateState;
use portgate_gate::Store;
use portgate_gate::client::Session;
use portgate_gate::paths::{ProcessPaths, runtime_directory};
use rustix::process::getuid;
use tokio::process::Command;

use crate::demo_node::Ports;
use crate::failure::Failure;

/// How long a new gate may take until it listens.
const PATIENCE: Duration = Duration::from_secs(5);

/// The mode of the gates' directories: what is in them commands the gates.
const PRIVATE: u32 = 0o700;

/// What group and others may do, in a mode.
const OTHERS: u32 = 0o077;

/// The directory of this user's gates.
pub(crate) fn directory() -> PathBuf {
    let xdg = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime_directory(xdg, &std::env::temp_dir(), getuid().as_raw())
}

/// What is in the directory of this user's gates. A directory that another user could have prepared is refused.
pub(crate) fn entries(directory: &Path) -> io::Result<ReadDir> {
    let metadata = fs::symlink_metadata(directory)?;
    let private = metadata.is_dir() && metadata.uid() == getuid().as_raw() && metadata.mode() & OTHERS == 0;
    if private { fs::read_dir(directory) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Starts a gate that outlives this command, and waits until it listens.
pub(crate) async fn start(paths: &ProcessPaths, state: &GateState, node: Ports) -> Result<(), Failure> {
    let directory = &paths.directory;
    let create = || {
        DirBuilder::new().recursive(true).mode(PRIVATE).create(directory)?;
        directory.parent().map_or(Ok(()), |parent| entries(parent).map(drop))
    };
    create().map_err(Failure::system(format!("create {}", directory.display())))?;
    Store::new(paths.state()).save(state)?;
    let log = File::create(paths.log()).map_err(Failure::system("create the gate's log"))?;
    let program = std::env::current_exe().map_err(Failure::system("find this executable"))?;
    let mut gate = Command::new(program)
        .args(["gate", "run", "--demo-node", &node.to_string(), "--process"])
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        // A group of its own: Ctrl-C in this terminal is not meant for it.
        .process_group(0)
        .spawn()
        .map_err(Failure::system("start the gate"))?;
    let socket = paths.socket();
    tokio::select! {
        connected = Session::connect(&socket, PATIENCE) => Ok(connected.map(drop)?),
        _ = gate.wait() => {
            let gate = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let said = fs::read_to_string(paths.log()).unwrap_or_default();
            Err(Failure::GateEnded { gate, said: said.lines().last().unwrap_or_default().to_owned() })
        }
    }
}

/// Removes the files of a gate that has ended.
pub(crate) fn forget(paths: &ProcessPaths) -> Result<(), Failure> {
    match fs::remove_dir_all(&paths.directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::system(format!("remove {}", paths.directory.display()))(error))
        }
        _ => {
            // The directory of all gates goes with the last of them.
            if let Some(parent) = paths.directory.parent() {
                let _ = fs::remove_dir(parent);
            }
            Ok(())
        }
    }
}

/// Prints what a gate has said, at most `tail` lines of it.
pub(crate) fn print_log(paths: &ProcessPaths, tail: Option<u64>) -> Result<(), Failure> {
    let read = || -> io::Result<Vec<String>> { BufReader::new(File::open(paths.log())?).lines().collect() };
    let lines = read().map_err(Failure::system(format!("read {}", paths.log().display())))?;
    let count = tail.and_then(|tail| usize::try_from(tail).ok()).unwrap_or(usize::MAX);
    lines.iter().skip(lines.len().saturating_sub(count)).try_for_each(crate::view::line)
}
