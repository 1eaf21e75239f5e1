//! Where the engine is: the choice among `DOCKER_HOST`, contexts and the usual sockets, as docker's own CLI makes it.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use portgate_core::suggest;

use crate::settings::{Context, Contexts, Settings, Tls};

/// Where Docker listens by default.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// Where a rootful Podman listens.
const PODMAN_SOCKET: &str = "/run/podman/podman.sock";

/// Where Docker listens on Windows.
const DOCKER_PIPE: &str = "//./pipe/docker_engine";

/// The context that stands for `DOCKER_HOST` and the default socket.
const DEFAULT_CONTEXT: &str = "default";

/// docker's port for plain TCP, and for TLS.
const PORTS: (u16, u16) = (2375, 2376);

/// Where an engine listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket.
    Unix(PathBuf),
    /// A Windows named pipe, such as `//./pipe/docker_engine`.
    Pipe(String),
    /// `HOST:PORT`, unencrypted.
    Tcp(String),
    /// `HOST:PORT`, encrypted and with both ends authenticated.
    Tls {
        /// `HOST:PORT`.
        address: String,
        /// The directory of `ca.pem`, `cert.pem` and `key.pem`.
        certificates: PathBuf,
    },
    /// `[USER@]HOST`, through `ssh` and `docker system dial-stdio` over there.
    Ssh(String),
}

impl Endpoint {
    /// Whether the engine runs on this machine, so that what it publishes can be reached on localhost.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) | Self::Pipe(_) => true,
            Self::Tcp(address) | Self::Tls { address, .. } => is_loopback(address),
            Self::Ssh(_) => false,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Pipe(path) => write!(f, "npipe://{path}"),
            Self::Tcp(address) | Self::Tls { address, .. } => write!(f, "tcp://{address}"),
            Self::Ssh(destination) => write!(f, "ssh://{destination}"),
        }
    }
}

/// Why no endpoint could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no context of this name.
    #[error("there is no Docker context named {name}")]
    UnknownContext {
        /// As it was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// The address is none.
    #[error("{host} is not the address of a Docker engine")]
    BadHost {
        /// As it is written in `DOCKER_HOST` or in a context.
        host: String,
    },
    /// The address names a port for ssh, which the client cannot pass on.
    #[error("{host} names a port, which has to stand in ssh's own configuration")]
    SshPort {
        /// As it is written in `DOCKER_HOST` or in a context.
        host: String,
    },
    /// The connection would be encrypted, but anybody could be at its other end.
    #[error("the connection to {host} would not verify the engine's certificate")]
    Unverified {
        /// As it is written in `DOCKER_HOST` or in a context.
        host: String,
    },
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownContext { name, known } => {
                let guess = suggest::nearest(name, known.iter().map(String::as_str));
                let guess = guess.map(|guess| format!("did you mean {guess}? ")).unwrap_or_default();
                let known: Vec<&str> = [DEFAULT_CONTEXT].into_iter().chain(known.iter().map(String::as_str)).collect();
                format!("{guess}contexts are: {}", known.join(", "))
            }
            Self::BadHost { .. } => "write unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST".to_owned(),
            Self::SshPort { .. } => {
                "write `Host NAME`, `HostName …` and `Port …` to ~/.ssh/config, and the address as ssh://NAME"
                    .to_owned()
            }
            Self::Unverified { .. } => "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH=DIRECTORY with ca.pem in it, \
                 or `docker context update --docker host=…,ca=FILE`"
                .to_owned(),
        })
    }
}

/// Chooses the endpoint as docker does: `DOCKER_HOST`, `DOCKER_CONTEXT`, the current context, the first socket that
/// `exists` of the usual ones, Docker's before Podman's.
pub(crate) fn choose(
    settings: &Settings,
    contexts: &Contexts,
    exists: impl Fn(&Path) -> bool,
) -> Result<Endpoint, Error> {
    if let Some(host) = &settings.host {
        let certificates = settings.certificates.as_ref().or(settings.config.as_ref());
        return parse(host, settings.tls, certificates.map_or(Path::new(""), PathBuf::as_path));
    }
    let name = settings.context.as_ref().or(contexts.current.as_ref()).filter(|name| *name != DEFAULT_CONTEXT);
    match name {
        Some(name) => in_context(find(contexts, name)?),
        None if cfg!(windows) => Ok(Endpoint::Pipe(DOCKER_PIPE.to_owned())),
        None => Ok(Endpoint::Unix(usual_socket(settings, exists))),
    }
}

fn find<'a>(contexts: &'a Contexts, name: &str) -> Result<&'a Context, Error> {
    contexts.list.iter().find(|context| context.name == name).ok_or_else(|| Error::UnknownContext {
        name: name.to_owned(),
        known: contexts.list.iter().map(|context| context.name.clone()).collect(),
    })
}

fn in_context(context: &Context) -> Result<Endpoint, Error> {
    parse(&context.host, context.tls, &context.certificates)
}

/// The first socket that exists, else the default one, so that the error names it.
fn usual_socket(settings: &Settings, exists: impl Fn(&Path) -> bool) -> PathBuf {
    let runtime = |path: &str| settings.runtime.as_ref().map(|directory| directory.join(path));
    let home = |path: &str| settings.home.as_ref().map(|directory| directory.join(path));
    [
        Some(PathBuf::from(DOCKER_SOCKET)),
        runtime("docker.sock"),
        home(".docker/run/docker.sock"),
        runtime("podman/podman.sock"),
        Some(PathBuf::from(PODMAN_SOCKET)),
    ]
    .into_iter()
    .flatten()
    .find(|path| exists(path))
    .unwrap_or_else(|| PathBuf::from(DOCKER_SOCKET))
}

fn parse(host: &str, tls: Tls, certificates: &Path) -> Result<Endpoint, Error> {
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    let rest = rest.trim_end_matches('/');
    if rest.is_empty() {
        return Err(Error::BadHost { host: host.to_owned() });
    }
    let tls = if scheme == "https" { Tls::Verified } else { tls };
    match scheme {
        "unix" => Ok(Endpoint::Unix(PathBuf::from(rest))),
        "npipe" => Ok(Endpoint::Pipe(rest.to_owned())),
        "ssh" if rest.contains(':') => Err(Error::SshPort { host: host.to_owned() }),
        "ssh" => Ok(Endpoint::Ssh(rest.to_owned())),
        "tcp" | "http" | "https" => match tls {
            Tls::Off => Ok(Endpoint::Tcp(with_port(rest, PORTS.0))),
            Tls::Verified => {
                Ok(Endpoint::Tls { address: with_port(rest, PORTS.1), certificates: certificates.to_owned() })
            }
            Tls::Unverified => Err(Error::Unverified { host: host.to_owned() }),
        },
        _ => Err(Error::BadHost { host: host.to_owned() }),
    }
}

fn with_port(address: &str, port: u16) -> String {
    let after_brackets = address.rsplit(']').next().unwrap_or(address);
    if after_brackets.contains(':') { address.to_owned() } else { format!("{address}:{port}") }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(name: &str, host: &str, tls: Tls) -> Context {
        Context { name: name.to_owned(), host: host.to_owned(), tls, certificates: PathBuf::from("/tls") }
    }

    fn contexts(current: Option<&str>) -> Contexts {
        Contexts {
            current: current.map(str::to_owned),
            list: vec![
                context("desktop-linux", "unix:///home/me/.docker/desktop/docker.sock", Tls::Off),
                context("remote", "tcp://10.0.0.7:2376", Tls::Verified),
                context("careless", "tcp://10.0.0.8:2376", Tls::Unverified),
            ],
        }
    }

    fn user() -> Settings {
        Settings {
            config: Some(PathBuf::from("/home/me/.docker")),
            runtime: Some(PathBuf::from("/run/user/1000")),
            home: Some(PathBuf::from("/home/me")),
            ..Settings::default()
        }
    }

    fn chosen(settings: &Settings, current: Option<&str>) -> String {
        choose(settings, &contexts(current), |_| true).unwrap().to_string()
    }

    fn among(existing: &[&str]) -> String {
        let exists = |path: &Path| existing.iter().any(|existing| Path::new(existing) == path);
        choose(&user(), &Contexts::default(), exists).unwrap().to_string()
    }

    #[test]
    fn docker_host_goes_before_every_context() {
        let settings = Settings {
            host: Some("unix:///my.sock".to_owned()),
            context: Some("remote".to_owned()),
            ..Settings::default()
        };
        assert_eq!(chosen(&settings, Some("desktop-linux")), "unix:///my.sock");
    }

    #[test]
    fn docker_context_goes_before_the_current_context() {
        let settings = Settings { context: Some("remote".to_owned()), ..user() };
        assert_eq!(chosen(&settings, Some("desktop-linux")), "tcp://10.0.0.7:2376");
        assert_eq!(chosen(&user(), Some("desktop-linux")), "unix:///home/me/.docker/desktop/docker.sock");
    }

    #[cfg(unix)]
    #[test]
    fn the_default_context_is_the_default_socket() {
        let settings = Settings { context: Some("default".to_owned()), ..user() };
        assert_eq!(chosen(&settings, Some("remote")), "unix:///var/run/docker.sock");
    }

    #[cfg(unix)]
    #[test]
    fn the_first_socket_that_exists_is_taken() {
        let podman = "/run/podman/podman.sock";
        let rootless = "/run/user/1000/docker.sock";
        assert_eq!(among(&[podman, rootless, "/var/run/docker.sock"]), "unix:///var/run/docker.sock");
        assert_eq!(among(&[podman, rootless]), "unix:///run/user/1000/docker.sock");
        assert_eq!(among(&[podman, "/home/me/.docker/run/docker.sock"]), "unix:///home/me/.docker/run/docker.sock");
        assert_eq!(among(&[podman]), "unix:///run/podman/podman.sock");
        assert_eq!(among(&[]), "unix:///var/run/docker.sock");
    }

    #[test]
    fn an_unknown_context_comes_with_a_guess_and_the_list() {
        let settings = Settings { context: Some("remoet".to_owned()), ..user() };
        let error = choose(&settings, &contexts(None), |_| true).unwrap_err();
        assert_eq!(error.to_string(), "there is no Docker context named remoet");
        let hint = "did you mean remote? contexts are: default, desktop-linux, remote, careless";
        assert_eq!(error.hint().as_deref(), Some(hint));
    }

    #[test]
    fn tls_needs_a_certificate_to_trust() {
        let settings = Settings { context: Some("careless".to_owned()), ..user() };
        let error = choose(&settings, &contexts(None), |_| true).unwrap_err();
        assert!(matches!(error, Error::Unverified { .. }));

        let settings = Settings { host: Some("tcp://10.0.0.7".to_owned()), tls: Tls::Verified, ..user() };
        let endpoint = choose(&settings, &contexts(None), |_| true).unwrap();
        let certificates = PathBuf::from("/home/me/.docker");
        assert_eq!(endpoint, Endpoint::Tls { address: "10.0.0.7:2376".to_owned(), certificates });
    }

    #[test]
    fn hosts_are_read_as_docker_reads_them() {
        let parsed = |host: &str| parse(host, Tls::Off, Path::new("")).unwrap().to_string();
        assert_eq!(parsed("10.0.0.7:1234"), "tcp://10.0.0.7:1234");
        assert_eq!(parsed("tcp://[::1]"), "tcp://[::1]:2375");
        assert_eq!(parsed("http://localhost:2375/"), "tcp://localhost:2375");
        assert_eq!(parsed("ssh://me@host"), "ssh://me@host");
        assert!(matches!(parse("ssh://me@host:22", Tls::Off, Path::new("")), Err(Error::SshPort { .. })));
        assert!(parse("ftp://host", Tls::Off, Path::new("")).is_err());
        assert!(parse("unix://", Tls::Off, Path::new("")).is_err());
    }

    #[test]
    fn loopback_is_local() {
        let local = |host: &str| parse(host, Tls::Off, Path::new("")).unwrap().is_local();
        assert!(local("unix:///var/run/docker.sock"));
        assert!(local("tcp://localhost:2375"));
        assert!(local("tcp://[::1]:2375"));
        assert!(!local("tcp://10.0.0.7:2375"));
        assert!(!local("ssh://me@localhost"));
    }
}
