//! The connection to the engine, and what kind of engine it is.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use bollard::errors::Error as ClientError;
use bollard::models::{SystemInfo, SystemVersion};
use bollard::{API_DEFAULT_VERSION, Docker};

use crate::call::{self, Call, QUESTION};
use crate::endpoint::{self, Endpoint};
use crate::settings::{self, Contexts, Settings};

/// How long an engine may take to answer the first question. Docker Desktop and ssh take seconds to wake up.
const GREETING: Duration = Duration::from_secs(15);

/// The client's own limit for each request, in seconds: beyond every limit that a [`Call`] sets.
const CLIENT_LIMIT: u64 = 24 * 60 * 60;

/// A connection to a Docker engine, or to Podman's imitation of one.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) docker: Docker,
    endpoint: Endpoint,
}

/// What kind of engine it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineInfo {
    /// The engine's version, such as `20.10.24`.
    pub version: String,
    /// The API's version, such as `1.41`.
    pub api_version: String,
    /// The operating system that containers see, such as `linux`.
    pub os: String,
    /// The processor architecture that images must have.
    pub architecture: Architecture,
    /// The engine's host name.
    pub name: String,
    /// Who made the engine.
    pub product: Product,
    /// Whether it runs without root, and so behind a network of its own.
    pub rootless: bool,
    /// Whether it runs on this machine, so that what it publishes can be reached on localhost.
    pub local: bool,
}

/// Who made an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Docker Engine, on the machine itself.
    Docker,
    /// Docker Desktop: Docker Engine in a virtual machine.
    DockerDesktop,
    /// Podman.
    Podman,
}

/// A processor architecture in Go's words, as image configurations have them: `amd64`, `arm64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture(String);

impl Architecture {
    /// From Go's name or the kernel's: `x86_64` is `amd64`, `aarch64` is `arm64`.
    pub fn new(name: &str) -> Self {
        Self(match name {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            other => other.to_owned(),
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
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
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nobody listens there.
    #[error("no Docker engine listens at {endpoint}")]
    Refused {
        /// Where it was looked for.
        endpoint: Endpoint,
        /// The cause.
        #[source]
        source: Box<ClientError>,
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
            Self::Endpoint(error) => return Some(error.hint()),
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
    /// Connects to the engine that docker's own CLI would use, and agrees on the API's version with it.
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
                io::ErrorKind::PermissionDenied => {
                    Error::Denied { endpoint: endpoint.clone(), source: Box::new(source) }
                }
                _ => Error::Missing { endpoint: endpoint.clone(), source },
            })?;
        }
        let docker = client(&endpoint)?;
        match tokio::time::timeout(GREETING, docker.negotiate_version()).await {
            Ok(Ok(docker)) => Ok(Self { docker, endpoint }),
            Ok(Err(error)) => Err(classify(endpoint, error)),
            Err(_) => Err(Error::Silent { endpoint }),
        }
    }

    /// Where the engine listens.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Asks what kind of engine it is.
    pub async fn info(&self) -> Result<EngineInfo, call::Error> {
        let (version, info) = tokio::try_join!(
            Call::new("ask for the engine's version", "", QUESTION).make(self.docker.version()),
            Call::new("ask for the engine's settings", "", QUESTION).make(self.docker.info()),
        )?;
        Ok(describe(version, info, self.endpoint.is_local()))
    }
}

fn describe(version: SystemVersion, info: SystemInfo, local: bool) -> EngineInfo {
    let podman = version.components.iter().flatten().any(|component| component.name == "Podman Engine");
    let desktop = info.operating_system.as_deref() == Some("Docker Desktop");
    EngineInfo {
        version: version.version.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        os: version.os.unwrap_or_default(),
        architecture: Architecture::new(&version.arch.unwrap_or_default()),
        name: info.name.unwrap_or_default(),
        product: match (podman, desktop) {
            (true, _) => Product::Podman,
            (false, true) => Product::DockerDesktop,
            (false, false) => Product::Docker,
        },
        rootless: info.security_options.iter().flatten().any(|option| option == "name=rootless"),
        local,
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
    let trouble_with_tls = is_about_certificates(&error) || is_about_tls(&error);
    let source = Box::new(error);
    match kind {
        _ if trouble_with_tls => Error::Tls { endpoint, source },
        Some(io::ErrorKind::NotFound) => Error::Missing { endpoint, source: io::Error::from(io::ErrorKind::NotFound) },
        Some(io::ErrorKind::PermissionDenied) => Error::Denied { endpoint, source },
        Some(io::ErrorKind::ConnectionRefused) => Error::Refused { endpoint, source },
        _ => Error::Unreachable { endpoint, source },
    }
}

fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

fn io_kind(error: &ClientError) -> Option<io::ErrorKind> {
    chain(error).find_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Whether the handshake failed: rustls' own error lies within an [`io::Error`].
fn is_about_tls(error: &ClientError) -> bool {
    chain(error).any(|cause| {
        let within = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        within.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn described(version: &str, info: &str) -> EngineInfo {
        describe(serde_json::from_str(version).unwrap(), serde_json::from_str(info).unwrap(), true)
    }

    #[test]
    fn products_are_told_apart() {
        let docker = described(
            r#"{"Version":"20.10.24","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}"#,
            r#"{"Name":"vm","OperatingSystem":"Debian GNU/Linux 12","SecurityOptions":["name=seccomp,profile=default"]}"#,
        );
        assert_eq!((docker.product, docker.rootless), (Product::Docker, false));
        assert_eq!(docker.architecture.as_str(), "amd64");

        let rootless = described("{}", r#"{"SecurityOptions":["name=seccomp,profile=default","name=rootless"]}"#);
        assert_eq!((rootless.product, rootless.rootless), (Product::Docker, true));

        let desktop = described("{}", r#"{"OperatingSystem":"Docker Desktop"}"#);
        assert_eq!(desktop.product, Product::DockerDesktop);

        let podman = described(r#"{"Components":[{"Name":"Podman Engine","Version":"4.9.3"}]}"#, "{}");
        assert_eq!(podman.product, Product::Podman);
    }

    #[test]
    fn architectures_have_one_name() {
        assert_eq!(Architecture::new("x86_64"), Architecture::new("amd64"));
        assert_eq!(Architecture::new("aarch64").to_string(), "arm64");
    }

    #[cfg(unix)]
    mod sockets {
        use super::*;
        use std::os::unix::fs::PermissionsExt;
        use std::os::unix::net::UnixListener;
        use std::path::PathBuf;

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
}
