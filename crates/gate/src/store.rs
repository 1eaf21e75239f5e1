//! The state file: written whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use portgate_core::limits;
use portgate_core::state::{GateState, StateError};

/// The file that holds a gate's state.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
}

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Reading failed.
    #[error("cannot read the state file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It does not hold a state that this portgate understands.
    #[error("cannot use the state file {path}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it holds instead.
        #[source]
        source: StateError,
    },
    /// Writing failed; the old content stays.
    #[error("cannot write the state file {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Store {
    /// The store in this file, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The state; `None` if there is no file.
    pub fn load(&self) -> Result<Option<GateState>, StoreError> {
        let content = match read(&self.path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StoreError::Read { path: self.path.clone(), source }),
        };
        let state = GateState::from_json(&content, &self.path.to_string_lossy());
        state.map(Some).map_err(|source| StoreError::Unusable { path: self.path.clone(), source })
    }

    /// Replaces the state. After a crash at any point the file holds either the old content or the new.
    pub fn save(&self, state: &GateState) -> Result<(), StoreError> {
        let write_error = |source| StoreError::Write { path: self.path.clone(), source };
        let content = state.to_json().map_err(|error| write_error(error.into()))?;
        replace(&self.path, &content).map_err(write_error)
    }

    /// Removes the file. A missing one is no error.
    pub fn remove(&self) -> Result<(), StoreError> {
        match fs::remove_file(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::Write { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }
}

/// The file's content, and one byte more than a state may have at most. Only of a regular file: a pipe would never end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    let most = u64::try_from(limits::STATE.most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(most).read_to_end(&mut content)?;
    Ok(content)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = write(&new, content).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // On a full disk, half a file is in the way of the next one.
        let _ = fs::remove_file(&new);
        return written;
    }
    // Without this the rename itself may be lost with the power.
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use portgate_core::causes;
    use portgate_core::cluster::{ClusterId, Provider};
    use portgate_core::control::Change;
    use portgate_core::state::FORMAT;

    use super::*;

    fn state() -> GateState {
        GateState::new(ClusterId { provider: Provider::K3d, name: "c".to_owned() }, Vec::new(), Vec::new())
    }

    #[test]
    fn what_is_saved_is_loaded_and_no_other_file_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("gate.json"));
        assert_eq!(store.load().unwrap(), None);
        store.save(&state()).unwrap();
        let second = state().changed(&Change::default());
        store.save(&second).unwrap();
        assert_eq!(store.load().unwrap(), Some(second));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        store.remove().unwrap();
        store.remove().unwrap();
        assert_eq!(store.load().unwrap(), None);
    }

    #[test]
    fn a_failed_save_keeps_the_old_state() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("gate.json"));
        store.save(&state()).unwrap();
        fs::create_dir(directory.path().join("gate.new")).unwrap();
        assert!(matches!(store.save(&state().changed(&Change::default())), Err(StoreError::Write { .. })));
        assert_eq!(store.load().unwrap(), Some(state()));
    }

    /// What is said of a state file with this content.
    fn complaint(content: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.json");
        fs::write(&path, content).unwrap();
        let error = Store::new(path).load().unwrap_err();
        causes::line(&error).replace(&directory.path().display().to_string(), "DIRECTORY")
    }

    #[test]
    fn damage_and_newer_formats_are_told_apart() {
        let damaged = "cannot use the state file DIRECTORY/gate.json: it is damaged: ";
        for content in [b"{".as_slice(), b"", b"\xff"] {
            assert!(complaint(content).starts_with(damaged), "{}", complaint(content));
        }
        let newer = GateState { format: FORMAT + 1, ..state() };
        assert_eq!(
            complaint(&newer.to_json().unwrap()),
            "cannot use the state file DIRECTORY/gate.json: it has format 2, and this portgate reads up to 1"
        );
        assert!(complaint(&vec![b' '; limits::STATE.most + 1]).contains("32 MiB"));
    }

    #[test]
    fn a_directory_and_a_pipe_are_no_state_files() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        for path in [directory.path().to_owned(), pipe] {
            assert!(matches!(Store::new(path).load(), Err(StoreError::Read { .. })));
        }
    }

    #[test]
    fn a_save_that_fails_leaves_no_file_behind() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::new(directory.path().join("gate.json"));
        // The rename fails: the state's place is taken by a directory.
        fs::create_dir(directory.path().join("gate.json")).unwrap();
        store.save(&state()).unwrap_err();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
