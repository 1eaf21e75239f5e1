//! Gates in process placement: a process of this user, with a directory of its own.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, ReadDir};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use portgate_core::control::{Detail, Request, Response};
use portgate_core::plan;
use portgate_core::state::GateState;
use portgate_core::status::GateStatus;
use portgate_docker::settings::Settings as EngineSettings;
use portgate_gate::client::{ClientError, Session};
use portgate_gate::paths::{ProcessPaths, runtime_directory, state_directory};
use portgate_gate::{Limits, Place, ProcessPlace, Settings, Store};
use rustix::process::getuid;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::demo_node::Ports;
use crate::failure::Failure;

/// How long a new gate may take until it listens.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

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
fn entries(directory: &Path) -> io::Result<ReadDir> {
    let metadata = fs::symlink_metadata(directory)?;
    let private = metadata.is_dir() && metadata.uid() == getuid().as_raw() && metadata.mode() & OTHERS == 0;
    if private { fs::read_dir(directory) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// The directory of what this user's gates keep over a reboot.
fn state_home() -> PathBuf {
    let variable = |name| std::env::var_os(name).map(PathBuf::from);
    // Without a home directory nothing is kept longer than what runs.
    let home = variable("HOME").unwrap_or_else(directory);
    state_directory(variable("XDG_STATE_HOME"), &home)
}

/// The names of this user's gates, and where their files are. One of both directories may be missing.
pub(crate) fn all() -> Vec<(String, ProcessPaths)> {
    let (runtime, kept) = (directory(), state_home());
    let names = |directory: &Path| {
        let entries = entries(directory).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect::<BTreeSet<String>>()
    };
    let (running, kept_names) = (names(&runtime), names(&kept));
    let paths = |name: &String| {
        let paths = ProcessPaths::new(&runtime, name);
        if kept_names.contains(name) { paths.kept(&kept) } else { paths }
    };
    running.union(&kept_names).map(|name| (name.clone(), paths(name))).collect()
}

/// Why this user's gates cannot be looked for, where that is so: another user could have prepared their directories.
pub(crate) fn refused() -> Vec<Failure> {
    let directories = BTreeSet::from([directory(), state_home()]);
    let refusal = |directory: PathBuf| match entries(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Some(Failure::system(format!(
            "use the directory {}, which must be this user's alone",
            directory.display()
        ))(error)),
        _ => None,
    };
    directories.into_iter().filter_map(refusal).collect()
}

/// Takes the first of `forward`, `forward-2`, … that no gate of this user has. What it carries is kept over a reboot if
/// `is_kept`.
pub(crate) fn claim(first: &str, is_kept: bool) -> Result<ProcessPaths, Failure> {
    let mut taken: Vec<String> = all().into_iter().map(|(name, _)| name).collect();
    loop {
        let name = plan::free_name(first, &taken);
        let paths = ProcessPaths::new(&directory(), &name);
        let paths = if is_kept { paths.kept(&state_home()) } else { paths };
        match create(&paths) {
            // Another portgate was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken.push(name),
            created => {
                created.map_err(Failure::system(format!("create {}", paths.directory.display())))?;
                return Ok(paths);
            }
        }
    }
}

/// Makes a gate's directories, in directories that no other user could have prepared.
fn create(paths: &ProcessPaths) -> io::Result<()> {
    for directory in BTreeSet::from([&paths.keep, &paths.directory]) {
        let parent = directory.parent().unwrap_or(Path::new("/"));
        DirBuilder::new().recursive(true).mode(PRIVATE).create(parent)?;
        entries(parent)?;
    }
    DirBuilder::new().mode(PRIVATE).create(&paths.directory)?;
    DirBuilder::new().recursive(true).mode(PRIVATE).create(&paths.keep)
}

/// Writes down what a gate is to carry, before it starts.
pub(crate) fn save(paths: &ProcessPaths, state: &GateState) -> Result<(), Failure> {
    let created = match create(paths) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    };
    created.map_err(Failure::system(format!("create {}", paths.directory.display())))?;
    Ok(Store::new(paths.state()).save(state)?)
}

/// What a gate in process placement is started with.
pub(crate) fn settings(paths: &ProcessPaths) -> Settings {
    let engine = EngineSettings::from_variables(|name| std::env::var(name).ok());
    let place = Place::Process(ProcessPlace { engine });
    Settings { place, state: paths.state(), socket: paths.socket(), limits: Limits::default(), worker: None }
}

/// Starts a gate that outlives this command, and waits until it listens.
pub(crate) async fn start(paths: &ProcessPaths, node: Option<Ports>) -> Result<(), Failure> {
    let directory = &paths.directory;
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE)
        .create(directory)
        .map_err(Failure::system(format!("create {}", directory.display())))?;
    let log = File::create(paths.log()).map_err(Failure::system("create the gate's log"))?;
    let program = std::env::current_exe().map_err(Failure::system("find this executable"))?;
    let mut command = Command::new(program);
    command.args(["gate", "run", "--process"]).arg(directory).arg("--keep").arg(&paths.keep);
    if let Some(node) = node {
        command.args(["--demo-node", &node.to_string()]);
    }
    let mut gate = command
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
            let gate = name(paths);
            let said = fs::read_to_string(paths.log()).unwrap_or_default();
            Err(Failure::GateEnded { gate, said: said.lines().last().unwrap_or_default().to_owned() })
        }
    }
}

/// Starts a gate, unless it runs.
pub(crate) async fn ensure(paths: &ProcessPaths) -> Result<(), Failure> {
    if Session::connect(&paths.socket(), Duration::ZERO).await.is_ok() { Ok(()) } else { start(paths, None).await }
}

/// Ends a gate, and starts it again with what it carried.
pub(crate) async fn restart(paths: &ProcessPaths) -> Result<GateStatus, Failure> {
    if let Ok(session) = Session::connect(&paths.socket(), Duration::ZERO).await {
        stop(session).await?;
    }
    start(paths, None).await?;
    let mut session = Session::connect(&paths.socket(), PATIENCE).await?;
    match session.request(&Request::Status { detail: Detail::Brief }).await? {
        Response::Status(status) => Ok(status),
        _ => Err(ClientError::Ended.into()),
    }
}

/// Asks a gate to end, and waits until it has: its socket closes when nothing of it is left.
async fn stop(mut session: Session<UnixStream>) -> Result<(), Failure> {
    session.request(&Request::Stop).await?;
    // The gate hangs up once it ends.
    let _ = session.into_inner().read(&mut [0]).await;
    Ok(())
}

/// The gate's name: that of its directory.
pub(crate) fn name(paths: &ProcessPaths) -> String {
    paths.directory.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Ends a gate, if it runs, and removes its files.
pub(crate) async fn end(paths: &ProcessPaths) -> Result<(), Failure> {
    // One that does not answer is dead, and leaves only its files.
    if let Ok(session) = Session::connect(&paths.socket(), Duration::ZERO).await {
        stop(session).await?;
    }
    forget(paths)
}

/// Removes the files of a gate that has ended.
pub(crate) fn forget(paths: &ProcessPaths) -> Result<(), Failure> {
    for directory in [&paths.directory, &paths.keep] {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Failure::system(format!("remove {}", directory.display()))(error));
            }
            _ => {
                // The directory of all gates goes with the last of them.
                if let Some(parent) = directory.parent() {
                    let _ = fs::remove_dir(parent);
                }
            }
        }
    }
    Ok(())
}
