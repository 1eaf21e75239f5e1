//! The connection to the engine.

mod info;
mod machine;

use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::{API_DEFAULT_VERSION, Docker};

pub use info::{Architecture, EngineInfo, Product};
pub use machine::{Machine, NoHost};

use crate::endpoint::{self, Endpoint};
use crate::settings::{self, Contexts, Settings};
use crate::trust::Images;

/// How long an engine may take to answer the first question. Docker Desktop and ssh take seconds to wake up.
const GREETING: Duration = Duration::from_secs(15);

/// The client's own limit for each request, in seconds: beyond every limit that [`crate::call`] sets.
const CLIENT_LIMIT: u64 = 24 * 60 * 60;

/// A connection to a Docker engine, or to Podman's imitation of one.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) images: Images,
    endpoint: Endpoint,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of docker's CLI could not be used.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// No endpoint could be chosen.
    #[error(transparent)]
    Endpoint(#[from] endpoint::Error),
    /// There is no socket.
    #[error("there is no Docker engine at {endpoint}")]
    Missing {
        /// Where it was looked for.
        endpoint: Endpoint,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The user may not use the socket.
    #[error("no permission to use the Docker engine at {endpoint}")]
    Denied {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// Nobody listens there.
    #[error("no Docker engine listens at {endpoint}")]
    Refused {
        /// Where it was looked for.
        endpoint: Endpoint,
    },
    /// The connection could not be encrypted, or one end did not trust the other.
    #[error("no TLS connection to the Docker engine at {endpoint}")]
    Tls {
        /// Where it is.
        endpoint: Endpoint,
        /// The cause.
        #[source]
        source: Box<ClientError>,
    },
    /// It could not be reached for another reason.
    #[error("cannot reach the Docker engine at {endpoint}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: Endpoint,
        /// The cause.
        #[source]
        source: Box<ClientError>,
    },
    /// It did not answer in time.
    #[error("the Docker engine at {endpoint} does not answer")]
    Silent {
        /// Where it is.
        endpoint: Endpoint,
    },
    /// This operating system has no such endpoints.
    #[error("{endpoint} cannot be used on this operating system")]
    Unsupported {
        /// As it was chosen.
        endpoint: Endpoint,
    },
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        let start = if cfg!(target_os = "linux") {
            "start it with `sudo systemctl start docker`, or set DOCKER_HOST to where it listens"
        } else {
            "start Docker Desktop, or set DOCKER_HOST to where the engine listens"
        };
        let text = match self {
            Self::Settings(_) => "correct the file, or set DOCKER_HOST, which goes before it",
            Self::Endpoint(error) => return error.hint(),
            Self::Refused { endpoint } if !endpoint.is_local() => {
                "is it running there, and does it listen on that port?"
            }
            Self::Missing { .. } | Self::Refused { .. } => start,
            Self::Denied { .. } => "join the socket's group with `sudo usermod -aG docker $USER`, then log in anew",
            Self::Tls { .. } => "check ca.pem, cert.pem and key.pem in DOCKER_CERT_PATH (default: ~/.docker)",
            Self::Unreachable { .. } | Self::Silent { .. } => "see whether `docker version` gets an answer",
            Self::Unsupported { .. } => "set DOCKER_HOST to tcp://HOST:PORT, or to this system's own socket",
        };
        Some(text.to_owned())
    }
}

impl Engine {
    /// Connects to the engine that docker's own CLI would use.
    ///
    /// There is no version to agree on: the client's paths name none, so each engine speaks its own. A ping proves the
    /// connection in a tenth of the time that `/version` takes, for which Docker runs containerd and runc.
    pub async fn connect(settings: &Settings) -> Result<Self, Error> {
        let contexts = match (&settings.host, &settings.config) {
            (None, Some(config)) => Contexts::read(config)?,
            _ => Contexts::default(),
        };
        Self::at(endpoint::choose(settings, &contexts, Path::exists)?).await
    }

    async fn at(endpoint: Endpoint) -> Result<Self, Error> {
        if let Endpoint::Unix(path) = &endpoint {
            std::fs::metadata(path).map_err(|source| match source.kind() {
                io::ErrorKind::PermissionDenied => Error::Denied { endpoint: endpoint.clone() },
                _ => Error::Missing { endpoint: endpoint.clone(), source },
            })?;
        }
        let docker = client(&endpoint)?;
        match tokio::time::timeout(GREETING, docker.ping()).await {
            Ok(Ok(_)) => Ok(Self { docker, images: Images::default(), endpoint }),
            Ok(Err(error)) => Err(classify(endpoint, error)),
            Err(_) => Err(Error::Silent { endpoint }),
        }
    }

    /// Where the engine listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The engine's socket; none if it is reached in another way.
    pub fn socket_path(&self) -> Option<&Path> {
        match &self.endpoint {
            Endpoint::Unix(path) => Some(path),
            Endpoint::Pipe(_) | Endpoint::Tcp(_) | Endpoint::Tls { .. } | Endpoint::Ssh(_) => None,
        }
    }
}

fn client(endpoint: &Endpoint) -> Result<Docker, Error> {
    let version = API_DEFAULT_VERSION;
    let client = match endpoint {
        #[cfg(unix)]
        Endpoint::Unix(path) => Docker::connect_with_unix(&path.to_string_lossy(), CLIENT_LIMIT, version),
        #[cfg(windows)]
        Endpoint::Pipe(path) => Docker::connect_with_named_pipe(path, CLIENT_LIMIT, version),
        #[cfg(unix)]
        Endpoint::Ssh(destination) => Docker::connect_with_ssh(destination, CLIENT_LIMIT, version, None),
        Endpoint::Tcp(address) => Docker::connect_with_http(address, CLIENT_LIMIT, version),
        Endpoint::Tls { address, certificates } => {
            // A provider that is installed already will do as well.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let file = |name: &str| certificates.join(name);
            let (key, cert, ca) = (file("key.pem"), file("cert.pem"), file("ca.pem"));
            Docker::connect_with_ssl(address, &key, &cert, &ca, CLIENT_LIMIT, version)
        }
        _ => return Err(Error::Unsupported { endpoint: endpoint.clone() }),
    };
    client.map_err(|error| classify(endpoint.clone(), error))
}

fn classify(endpoint: Endpoint, error: ClientError) -> Error {
    let kind = io_kind(&error);
    let trouble_with_tls =
        is_about_certificates(&error) || chain(&error).any(<dyn std::error::Error>::is::<rustls::Error>);
    let source = Box::new(error);
    match kind {
        _ if trouble_with_tls => Error::Tls { endpoint, source },
        Some(io::ErrorKind::NotFound) => Error::Missing { endpoint, source: io::Error::from(io::ErrorKind::NotFound) },
        Some(io::ErrorKind::PermissionDenied) => Error::Denied { endpoint },
        Some(io::ErrorKind::ConnectionRefused) => Error::Refused { endpoint },
        _ => Error::Unreachable { endpoint, source },
    }
}

/// An error and its causes. An I/O error may stand for another error, which it names as its cause only to those who ask.
fn chain(error: &ClientError) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    let first: &(dyn std::error::Error + 'static) = match error {
        ClientError::IOError { err } => err,
        other => other,
    };
    std::iter::successors(Some(first), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(within) => Some(within),
        None => error.source(),
    })
}

/// What the operating system said, beneath every wrapper.
fn io_kind(error: &ClientError) -> Option<io::ErrorKind> {
    chain(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).last().map(io::Error::kind)
}

fn is_about_certificates(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::CertPathError { .. }
            | ClientError::CertParseError { .. }
            | ClientError::CertMultipleKeys { .. }
            | ClientError::NoNativeCertsError { .. }
            | ClientError::LoadNativeCertsErrors { .. }
    )
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpListener;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;

    #[tokio::test]
    async fn certificates_that_are_not_there_are_a_matter_of_tls() {
        let certificates = tempfile::tempdir().unwrap().path().join("gone");
        let endpoint = Endpoint::Tls { address: "127.0.0.1:1".to_owned(), certificates };
        assert!(matches!(Engine::at(endpoint).await, Err(Error::Tls { .. })));
    }

    #[tokio::test]
    async fn an_answer_in_plain_text_is_a_matter_of_tls() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), "").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
        let endpoint = Endpoint::Tls { address, certificates: directory.path().to_owned() };
        assert!(matches!(Engine::at(endpoint).await, Err(Error::Tls { .. })));
    }

    async fn failure(path: PathBuf) -> Error {
        Engine::at(Endpoint::Unix(path)).await.unwrap_err()
    }

    #[tokio::test]
    async fn no_socket_is_no_engine() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(failure(directory.path().join("docker.sock")).await, Error::Missing { .. }));
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_refuses() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("docker.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(matches!(failure(path).await, Error::Refused { .. }));
    }

    #[tokio::test]
    async fn a_plain_file_is_no_engine() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(failure(file.path().to_owned()).await, Error::Refused { .. }));
    }

    #[test]
    fn a_forbidden_socket_is_told_from_a_missing_one() {
        let error = ClientError::from(io::Error::from(io::ErrorKind::PermissionDenied));
        let error = classify(Endpoint::Unix(PathBuf::from("/var/run/docker.sock")), error);
        assert!(matches!(error, Error::Denied { .. }));
        assert!(error.hint().unwrap().contains("usermod -aG docker"));
    }
}
