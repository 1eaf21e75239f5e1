//! Reading a file of a container, whether it runs or not. What is in a container is not trusted.

use std::io::{self, Read};

use bollard::errors::Error as ClientError;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt};
use portgate_core::limits::{self, Exceeded, Limit};
use tar::{Archive, EntryType};

use crate::call::{self, Call, is_missing};
use crate::engine::Engine;

/// What an archive has beside its file, in bytes: headers, which may be extended by attributes, and padding.
const OVERHEAD: usize = 64 << 10;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive around the file is broken.
    #[error("cannot unpack {place}")]
    Archive {
        /// The file, and its container's name.
        place: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// It is a link, a directory, a device or a pipe, or a file with holes.
    #[error("{place} is not a regular file")]
    Irregular {
        /// The file, and its container's name.
        place: String,
    },
    /// It is too large.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The engine did not do it.
    #[error(transparent)]
    Engine(#[from] call::Error),
}

impl Error {
    /// What may mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Archive { .. } | Self::Irregular { .. } | Self::Exceeded(_) => None,
            Self::Engine(error) => error.hint(),
        }
    }
}

impl Engine {
    /// Reads a regular file of at most [`limits::KUBECONFIG`]; none if there is no such file, or no such container.
    pub async fn read_file(&self, container: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
        self.read_file_within(container, path, limits::KUBECONFIG).await
    }

    /// Reads a regular file, which the engine gives as a tar archive. Links are not followed.
    pub(crate) async fn read_file_within(
        &self,
        container: &str,
        path: &str,
        limit: Limit,
    ) -> Result<Option<Vec<u8>>, Error> {
        let options = DownloadFromContainerOptionsBuilder::new().path(path).build();
        let place = format!("{path} of {container}");
        let download = receive(self.docker.download_from_container(container, Some(options)), limit);
        match Call::new("read", place.clone(), limits::FILE_TIME).make(download).await {
            Ok(Some(archive)) => unpack(&archive, limit, &place).map(Some),
            Ok(None) => Err(Exceeded { place, limit }.into()),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The archive around a file; none if it is too large, which ends the download.
async fn receive(
    download: impl Stream<Item = Result<Bytes, ClientError>>,
    limit: Limit,
) -> Result<Option<BytesMut>, ClientError> {
    let mut download = std::pin::pin!(download);
    let mut archive = BytesMut::new();
    while let Some(bytes) = download.try_next().await? {
        if archive.len() + bytes.len() > limit.most + OVERHEAD {
            return Ok(None);
        }
        archive.extend_from_slice(&bytes);
    }
    Ok(Some(archive))
}

/// The content of the archive's one file.
#[doc(hidden)]
pub fn unpack(archive: &[u8], limit: Limit, place: &str) -> Result<Vec<u8>, Error> {
    let broken = |source| Error::Archive { place: place.to_owned(), source };
    let mut archive = Archive::new(archive);
    let mut entries = archive.entries().map_err(broken)?;
    let entry = entries.next().ok_or_else(|| broken(io::ErrorKind::UnexpectedEof.into()))?;
    let mut entry = entry.map_err(broken)?;
    // The header of a file with holes names a size that the archive does not have.
    if entry.header().entry_type() != EntryType::Regular {
        return Err(Error::Irregular { place: place.to_owned() });
    }
    let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
    limit.check(size, || place.to_owned())?;
    let mut content = Vec::with_capacity(size);
    entry.read_to_end(&mut content).map_err(broken)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use tar::{Builder, Header};

    use super::*;

    const PLACE: &str = "/output/kubeconfig.yaml of k3d-my-server-0";

    fn archive(kind: EntryType, link: Option<&str>, content: &[u8]) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        let mut archive = Builder::new(Vec::new());
        archive.append_data(&mut header, "kubeconfig.yaml", content).unwrap();
        archive.into_inner().unwrap()
    }

    fn content(archive: &[u8]) -> Result<Vec<u8>, String> {
        unpack(archive, limits::KUBECONFIG, PLACE).map_err(|error| error.to_string())
    }

    #[test]
    fn a_regular_file_is_read() {
        assert_eq!(content(&archive(EntryType::Regular, None, b"users: []")).unwrap(), b"users: []");
    }

    #[test]
    fn what_is_not_a_regular_file_is_refused() {
        let irregular = "/output/kubeconfig.yaml of k3d-my-server-0 is not a regular file";
        for kind in [EntryType::Symlink, EntryType::Link, EntryType::Fifo, EntryType::Char, EntryType::Directory] {
            assert_eq!(content(&archive(kind, Some("/etc/shadow"), b"")).unwrap_err(), irregular, "{kind:?}");
        }
        assert!(content(&archive(EntryType::GNUSparse, None, b"")).is_err());
        assert!(content(&[]).unwrap_err().starts_with("cannot unpack"));
    }

    #[test]
    fn a_size_above_the_limit_is_refused_before_it_is_believed() {
        let mut header = Header::new_gnu();
        header.set_path("kubeconfig.yaml").unwrap();
        header.set_size(1 << 40);
        header.set_cksum();
        let expected = format!("{PLACE} exceeds the limit of 4 MiB for a kubeconfig");
        assert_eq!(content(header.as_bytes()).unwrap_err(), expected);
    }

    #[tokio::test]
    async fn a_download_ends_at_its_limit() {
        let (sent, piece) = (AtomicUsize::new(0), Bytes::from(vec![0; 32 << 10]));
        let zeros = stream::repeat_with(|| {
            sent.fetch_add(piece.len(), Ordering::Relaxed);
            Ok(piece.clone())
        });
        assert_eq!(receive(zeros, limits::KUBECONFIG).await.unwrap(), None);
        assert!(sent.into_inner() <= limits::KUBECONFIG.most + 2 * OVERHEAD);
    }
}
