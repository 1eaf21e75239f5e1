//! A gate's state file, written and read from outside, whether the gate runs or not.
//!
//! The engine takes and gives files as tar archives. It writes through a read-only root where the path is in a volume.
//! The file is not replaced atomically, so a gate that runs must be asked to change its state instead.

use std::io;

use bollard::body_full;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{InspectContainerOptions, UploadToContainerOptionsBuilder};
use bytes::Bytes;
use portgate_core::limits;
use portgate_core::state::{GateState, StateError};
use tar::{Builder, Header};

use crate::call::{self, CHANGE, Call, QUESTION};
use crate::engine::Engine;
use crate::file;
use crate::image::{NOBODY, STATE_DIRECTORY};

/// Only the gate may read and write it.
const MODE: u32 = 0o600;

/// Why a gate's state could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be written as JSON.
    #[error("cannot write down the state of {container}")]
    Encode {
        /// The gate's name.
        container: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// It does not hold a state that this portgate understands.
    #[error("cannot use the state file {path} of container {container}")]
    Unusable {
        /// The gate's name.
        container: String,
        /// The file.
        path: String,
        /// What it holds instead.
        #[source]
        source: StateError,
    },
    /// The archive around the file cannot be made.
    #[error("cannot pack the state of {container}")]
    Archive {
        /// The gate's name.
        container: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] file::Error),
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unusable { source: StateError::Newer { .. }, .. } => {
                Some("use the portgate that wrote it".to_owned())
            }
            Self::Unusable { .. } => Some(
                "`portgate down` removes the gate, and the volume with this file; then open its ports again".to_owned(),
            ),
            Self::Encode { .. } | Self::Archive { .. } => None,
            Self::File(error) => error.hint(),
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Error {
    /// Whether the file is at fault, and not the engine: it stays so until somebody mends it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Unusable { .. } => true,
            Self::File(error) => !matches!(error, file::Error::Engine(_)),
            Self::Encode { .. } | Self::Archive { .. } | Self::Engine(_) => false,
        }
    }
}

impl Engine {
    /// Writes the state file of a gate that does not run, and gives it to the gate's user.
    pub async fn write_state(&self, container: &str, state: &GateState) -> Result<(), Error> {
        let json = state.to_json().map_err(|source| Error::Encode { container: container.to_owned(), source })?;
        let archive = pack(&file_name(container), &json, self.user(container).await?);
        let archive = archive.map_err(|source| Error::Archive { container: container.to_owned(), source })?;
        let options = UploadToContainerOptionsBuilder::new().path(STATE_DIRECTORY).build();
        let upload = self.docker.upload_to_container(container, Some(options), body_full(archive));
        Ok(Call::new("write the state of", container, CHANGE).make(upload).await?)
    }

    /// The user of a gate's process. One without capabilities cannot read another's files, even as root.
    async fn user(&self, container: &str) -> Result<u32, call::Error> {
        let inspection = self.docker.inspect_container(container, None::<InspectContainerOptions>);
        Ok(user_of(Call::new("inspect container", container, QUESTION).make(inspection).await?))
    }

    /// Reads the state file of a gate, whether it runs or not; none if there is no file, or no gate.
    pub async fn read_state(&self, container: &str) -> Result<Option<GateState>, Error> {
        let path = state_path(container);
        let Some(json) = self.read_file_within(container, &path, limits::STATE).await? else { return Ok(None) };
        let state = GateState::from_json(&json, &path);
        state.map(Some).map_err(|source| Error::Unusable { container: container.to_owned(), path, source })
    }
}

/// The number at the beginning of `USER:GROUP`; nobody's where there is none.
fn user_of(inspection: ContainerInspectResponse) -> u32 {
    let user = inspection.config.and_then(|config| config.user).unwrap_or_default();
    user.split(':').next().and_then(|user| user.parse().ok()).unwrap_or(NOBODY)
}

/// The path of a gate's state file, in its container.
pub fn state_path(container: &str) -> String {
    format!("{STATE_DIRECTORY}/{}", file_name(container))
}

fn file_name(container: &str) -> String {
    format!("{container}.json")
}

fn pack(name: &str, content: &[u8], owner: u32) -> io::Result<Bytes> {
    let mut header = Header::new_ustar();
    header.set_mode(MODE);
    header.set_uid(u64::from(owner));
    header.set_gid(u64::from(owner));
    header.set_mtime(0);
    header.set_size(content.len() as u64);
    let mut archive = Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    Ok(archive.into_inner()?.into())
}

#[cfg(test)]
mod tests {
    use tar::Archive;

    use super::*;
    use crate::file::unpack;

    #[test]
    fn the_file_belongs_to_the_gate_alone() {
        let packed = pack("g.json", b"{}", NOBODY).unwrap();
        let mut archive = Archive::new(&packed[..]);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        let header = entry.header();
        assert_eq!((header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0o600, 65534, 65534));
        assert_eq!(unpack(&packed, limits::STATE, "g.json").unwrap(), b"{}");
    }

    #[test]
    fn the_gates_user_is_a_number() {
        let user = |config: &str| user_of(serde_json::from_str(config).unwrap());
        assert_eq!(user(r#"{"Config":{"User":"0:0"}}"#), 0);
        assert_eq!(user(r#"{"Config":{"User":"65534:65534"}}"#), NOBODY);
        assert_eq!(user("{}"), NOBODY);
    }
}
