//! The gate's image: one static executable, packed here and loaded into the engine, so that no registry is needed.

mod archive;
mod elf;
mod store;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use store::{Error as StoreError, Loaded};

use crate::engine::Architecture;

/// The repository of the images that portgate packs for itself.
pub const REPOSITORY: &str = "portgate";

/// Where a gate keeps its state: a directory of the image, and the mount point of the gate's volume.
pub const STATE_DIRECTORY: &str = "/var/lib/portgate";

/// The path of the executable in the image.
pub const EXECUTABLE: &str = "/portgate";

/// The user and group of a gate: nobody's, on every Linux.
pub const NOBODY: u32 = 65534;

/// How many hexadecimal digits of the executable's digest stand in the tag.
const TAG_DIGITS: usize = 12;

/// An executable, checked, that is to become an image.
#[derive(Clone, Debug)]
pub struct GateImage {
    reference: String,
    version: String,
    architecture: Architecture,
    executable: Vec<u8>,
}

/// Why an executable cannot become an image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The executable.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// It would not run in a container of this engine.
    #[error("{} cannot run in a container", path.display())]
    Unfit {
        /// The executable.
        path: PathBuf,
        /// What is the matter with it.
        #[source]
        source: Unfit,
    },
}

pub use elf::Unfit;

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { .. } => return None,
            Self::Unfit { source: Unfit::Dynamic, .. } => {
                "build portgate in its own workspace, whose .cargo/config.toml links statically, \
                 or name a published image with --image REF"
            }
            Self::Unfit { .. } => "name a published image of the engine's architecture with --image REF",
        };
        Some(text.to_owned())
    }
}

impl GateImage {
    /// The image of portgate's executable for an engine of this architecture.
    pub fn of(executable: &Path, version: &str, architecture: &Architecture) -> Result<Self, Error> {
        Self::in_repository(REPOSITORY, executable, version, architecture)
    }

    /// Like [`GateImage::of`], in a repository of its own, apart from the images that other commands use and clear.
    pub fn in_repository(
        repository: &str,
        executable: &Path,
        version: &str,
        architecture: &Architecture,
    ) -> Result<Self, Error> {
        let bytes = std::fs::read(executable).map_err(|source| Error::Read { path: executable.to_owned(), source })?;
        elf::check(&bytes, architecture).map_err(|source| Error::Unfit { path: executable.to_owned(), source })?;
        Ok(Self {
            reference: format!("{repository}:{}", tag(version, &bytes)),
            version: version.to_owned(),
            architecture: architecture.clone(),
            executable: bytes,
        })
    }

    /// `REPOSITORY:VERSION-DIGEST`, where the digest is the executable's: another executable, another image.
    pub fn reference(&self) -> &str {
        &self.reference
    }
}

/// A version may have a `+`, which a tag may not.
fn tag(version: &str, executable: &[u8]) -> String {
    let digest = digest(executable);
    format!("{}-{}", version.replace('+', "-"), &digest[..TAG_DIGITS])
}

/// The SHA-256 digest, in hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Bytes::copy_from_slice(&Sha256::digest(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_names_the_version_and_the_executable() {
        assert_eq!(tag("0.1.0", b"abc"), "0.1.0-ba7816bf8f01");
        assert_eq!(tag("0.1.0+dev", b"abd"), "0.1.0-dev-a52d159f262b");
    }

    #[test]
    fn a_missing_executable_is_named() {
        let error = GateImage::of(Path::new("/nowhere/portgate"), "0.1.0", &Architecture::new("amd64")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/portgate");
    }
}
