//! Which engine the user means, in the words of docker's own CLI: environment variables and contexts.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What decides which engine is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `DOCKER_HOST`, such as `unix:///var/run/docker.sock` or `tcp://10.0.0.7:2376`.
    pub host: Option<String>,
    /// `DOCKER_CONTEXT`, the name of a context.
    pub context: Option<String>,
    /// What `DOCKER_TLS_VERIFY` and `DOCKER_TLS` ask for on a TCP `DOCKER_HOST`.
    pub tls: Tls,
    /// `DOCKER_CERT_PATH`, the directory of `ca.pem`, `cert.pem` and `key.pem`; else the configuration directory.
    pub certificates: Option<PathBuf>,
    /// `DOCKER_CONFIG`, else `~/.docker`.
    pub config: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`, where rootless engines have their sockets.
    pub runtime: Option<PathBuf>,
    /// The home directory.
    pub home: Option<PathBuf>,
}

/// Whether a TCP connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    #[default]
    Off,
    /// It is, and the engine's certificate must be valid.
    Verified,
    /// It is, but any certificate will do. Refused, since anybody could answer.
    Unverified,
}

impl Settings {
    /// The settings in environment variables; an empty one counts as unset, as it does for docker.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| set(name).map(PathBuf::from);
        let home = path(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
        let tls = match (set("DOCKER_TLS_VERIFY"), set("DOCKER_TLS")) {
            (Some(_), _) => Tls::Verified,
            (None, Some(_)) => Tls::Unverified,
            (None, None) => Tls::Off,
        };
        Self {
            host: set("DOCKER_HOST"),
            context: set("DOCKER_CONTEXT"),
            tls,
            certificates: path("DOCKER_CERT_PATH"),
            config: path("DOCKER_CONFIG").or_else(|| home.as_ref().map(|home| home.join(".docker"))),
            runtime: path("XDG_RUNTIME_DIR"),
            home,
        }
    }
}

/// docker's named connections, and which of them is the current one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contexts {
    /// `currentContext` of `config.json`.
    pub(crate) current: Option<String>,
    /// In the order of their names.
    pub(crate) list: Vec<Context>,
}

/// A named connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) name: String,
    /// In the form of `DOCKER_HOST`.
    pub(crate) host: String,
    pub(crate) tls: Tls,
    /// Where its TLS files are, if it has any.
    pub(crate) certificates: PathBuf,
}

/// A file of docker's CLI could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// It is not what docker writes.
    #[error("cannot understand {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct ConfigFile {
    #[serde(rename = "currentContext")]
    current_context: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaFile {
    name: String,
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<MetaEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetaEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Contexts {
    /// Reads `config.json` and the contexts beneath docker's configuration directory. What is not there is empty.
    pub(crate) fn read(config: &Path) -> Result<Self, Error> {
        let current = json::<ConfigFile>(&config.join("config.json"))?.and_then(|file| file.current_context);
        let current = current.filter(|name| !name.is_empty());
        let meta = config.join("contexts/meta");
        let mut list = Vec::new();
        for directory in directories(&meta)? {
            let Some(file) = json::<MetaFile>(&directory.join("meta.json"))? else { continue };
            let Some(endpoint) = file.endpoints.docker else { continue };
            let id = directory.file_name().unwrap_or_default();
            let certificates = config.join("contexts/tls").join(id).join("docker");
            let tls = match (endpoint.skip_tls_verify, certificates.is_dir()) {
                (true, _) => Tls::Unverified,
                (false, true) => Tls::Verified,
                (false, false) => Tls::Off,
            };
            list.push(Context { name: file.name, host: endpoint.host, tls, certificates });
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { current, list })
    }
}

fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Read { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Parse { path: path.to_owned(), source })
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    match std::fs::read_dir(path) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path()).map_err(unreadable)).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(unreadable(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_no_variable() {
        let settings = Settings::from_variables(|name| match name {
            "DOCKER_HOST" | "DOCKER_TLS_VERIFY" => Some(String::new()),
            "HOME" | "USERPROFILE" => Some("/home/me".to_owned()),
            _ => None,
        });
        assert_eq!(settings.host, None);
        assert_eq!(settings.tls, Tls::Off);
        assert_eq!(settings.config, Some(PathBuf::from("/home/me/.docker")));
    }

    #[test]
    fn a_machine_without_docker_files_has_no_contexts() {
        let config = tempfile::tempdir().unwrap();
        assert_eq!(Contexts::read(config.path()).unwrap(), Contexts::default());
    }

    #[test]
    fn contexts_are_read_with_their_tls_files() {
        let config = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = config.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("config.json", r#"{"auths":{},"currentContext":"remote"}"#);
        let remote = r#"{"Name":"remote","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://10.0.0.7:2376"}}}"#;
        write("contexts/meta/b0b/meta.json", remote);
        write("contexts/tls/b0b/docker/ca.pem", "");
        let desktop = r#"{"Name":"desktop","Endpoints":{"docker":{"Host":"unix:///d.sock","SkipTLSVerify":false}}}"#;
        write("contexts/meta/ace/meta.json", desktop);

        let contexts = Contexts::read(config.path()).unwrap();
        assert_eq!(contexts.current.as_deref(), Some("remote"));
        let [desktop, remote] = contexts.list.as_slice() else { panic!("two contexts") };
        assert_eq!((desktop.name.as_str(), desktop.tls), ("desktop", Tls::Off));
        assert_eq!((remote.name.as_str(), remote.tls), ("remote", Tls::Verified));
        assert_eq!(remote.certificates, config.path().join("contexts/tls/b0b/docker"));
    }

    #[test]
    fn a_broken_file_is_named() {
        let config = tempfile::tempdir().unwrap();
        std::fs::write(config.path().join("config.json"), "{").unwrap();
        let error = Contexts::read(config.path()).unwrap_err();
        assert!(matches!(error, Error::Parse { path, .. } if path.ends_with("config.json")));
    }
}
