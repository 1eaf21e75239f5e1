//! The state file: written whole, or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use portgate_core::state::{FORMAT, GateState};

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
    /// It holds something else.
    #[error("the state file {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        #[source]
        source: serde_json::Error,
    },
    /// A newer portgate wrote it.
    #[error("the state file {path} has format {found}; this portgate reads up to {FORMAT}")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
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
        match fs::read(&self.path) {
            Ok(text) => parse(&text, &self.path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read { path: self.path.clone(), source }),
        }
    }

    /// Replaces the state. After a crash at any point the file holds either the old content or the new.
    pub fn save(&self, state: &GateState) -> Result<(), StoreError> {
        let write_error = |source| StoreError::Write { path: self.path.clone(), source };
        let text = serde_json::to_vec(state).map_err(|error| write_error(error.into()))?;
        replace(&self.path, &text).map_err(write_error)
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

/// The state that the text of the file at `path` holds.
pub(crate) fn parse(text: &[u8], path: &Path) -> Result<GateState, StoreError> {
    let path = || path.to_owned();
    let state: GateState =
        serde_json::from_slice(text).map_err(|source| StoreError::Damaged { path: path(), source })?;
    if state.format > FORMAT {
        return Err(StoreError::Newer { path: path(), found: state.format });
    }
    Ok(state)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = open_private(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // Without this the rename itself may be lost with the power.
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn open_private(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use portgate_core::cluster::{ClusterId, Provider};
    use portgate_core::control::Change;

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

    #[test]
    fn damage_and_newer_formats_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gate.json");
        let store = Store::new(path.clone());
        fs::write(&path, "{").unwrap();
        assert!(matches!(store.load(), Err(StoreError::Damaged { .. })));
        let newer = GateState { format: FORMAT + 1, ..state() };
        fs::write(&path, serde_json::to_vec(&newer).unwrap()).unwrap();
        assert!(matches!(store.load(), Err(StoreError::Newer { found, .. }) if found == FORMAT + 1));
    }
}
