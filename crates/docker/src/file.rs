//! Reading a file of a container, whether it runs or not.

use std::io::{self, Read};

use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::BytesMut;
use futures_util::TryStreamExt;
use tar::Archive;

use crate::call::{self, CHANGE, Call, is_missing};
use crate::engine::Engine;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive around the file is broken.
    #[error("cannot unpack {path} of {container}")]
    Archive {
        /// The container's name.
        container: String,
        /// The file.
        path: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive { .. } => None,
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// Reads a file; none if there is no such file, or no such container. The engine gives files as tar archives.
    pub async fn read_file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let download = self.docker.download_from_container(container, Some(options));
        let download = download.try_fold(BytesMut::new(), async |mut archive, bytes| {
            archive.extend_from_slice(&bytes);
            Ok(archive)
        });
        let archive = match Call::new("read a file of", container, CHANGE).make(download).await {
            Ok(archive) => archive,
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (container, path) = (container.to_owned(), path.to_owned());
        unpack(&archive).map(Some).map_err(|source| Error::Archive { container, path, source })
    }
}

/// The content of the archive's one file.
#[doc(hidden)]
pub fn unpack(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new(archive);
    let mut content = Vec::new();
    if let Some(entry) = archive.entries()?.next() {
        entry?.read_to_end(&mut content)?;
    }
    Ok(content)
}
