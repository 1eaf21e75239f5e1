//! The Docker engine: where it is, and whether it answers.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where an engine listens unless `DOCKER_HOST` says otherwise.
pub(crate) const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// How long an engine may take for its answer. A healthy one takes a millisecond; one that just woke up takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes. That to a ping has about 300.
const MAX_ANSWER: u64 = 4096;

/// Where the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// At [`DEFAULT_SOCKET`].
    Default,
    /// At another socket, named by `DOCKER_HOST`.
    Socket(PathBuf),
    /// Anywhere else, named by `DOCKER_HOST`.
    Remote(String),
}

impl Endpoint {
    /// The endpoint for this value of `DOCKER_HOST`.
    pub(crate) fn new(docker_host: Option<&str>) -> Self {
        match docker_host.filter(|host| !host.is_empty()) {
            None => Self::Default,
            Some(host) => match host.strip_prefix("unix://") {
                Some(DEFAULT_SOCKET) => Self::Default,
                Some(path) => Self::Socket(path.into()),
                None => Self::Remote(host.to_owned()),
            },
        }
    }

    /// Asks the engine for a sign of life.
    pub(crate) fn probe(&self) -> Engine {
        let answer = match self {
            Self::Default => ping(Path::new(DEFAULT_SOCKET)),
            Self::Socket(path) => ping(path),
            Self::Remote(_) => return Engine::Trusted,
        };
        match answer {
            Ok(answer) if is_ok(&answer) => Engine::Answers,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Engine::Forbidden,
            Ok(_) | Err(_) => Engine::Silent,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str(DEFAULT_SOCKET),
            Self::Socket(path) => path.display().fmt(f),
            Self::Remote(host) => f.write_str(host),
        }
    }
}

/// What a probe found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    /// It answers at its endpoint.
    Answers,
    /// It is in a place that only docker's CLI knows how to reach.
    Trusted,
    /// Its socket is there, but not for this user.
    Forbidden,
    /// It does not answer.
    Silent,
}

fn ping(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // Version 1.0 has the engine close the connection after its answer.
    stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER).read_to_string(&mut answer)?;
    Ok(answer)
}

fn is_ok(answer: &str) -> bool {
    answer.starts_with("HTTP/1.") && answer.split(' ').nth(1) == Some("200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_names_the_endpoint() {
        assert_eq!(Endpoint::new(None), Endpoint::Default);
        assert_eq!(Endpoint::new(Some("")), Endpoint::Default);
        assert_eq!(Endpoint::new(Some("unix:///var/run/docker.sock")), Endpoint::Default);
        assert_eq!(Endpoint::new(Some("unix:///run/user/1000/docker.sock")), {
            Endpoint::Socket("/run/user/1000/docker.sock".into())
        });
        assert_eq!(Endpoint::new(Some("ssh://box")), Endpoint::Remote("ssh://box".to_owned()));
    }

    #[test]
    fn nobody_at_the_socket_is_silence() {
        assert_eq!(Endpoint::Socket("/nowhere/docker.sock".into()).probe(), Engine::Silent);
    }

    #[test]
    fn only_status_200_is_a_sign_of_life() {
        assert!(is_ok("HTTP/1.0 200 OK\r\nServer: Docker/28\r\n\r\nOK"));
        assert!(!is_ok("HTTP/1.0 500 Internal Server Error\r\n\r\n"));
        assert!(!is_ok(""));
    }
}
