//! Why there is no way to an API server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use kube::client::{AuthError, RustlsTlsError};
use kube::config::KubeconfigError;
use portgate_core::limits::Exceeded;
use portgate_core::suggest;

use super::Source;

/// No way to an API server was found, or its credentials cannot be used.
///
/// What a kubeconfig and a credential plugin say is never repeated here: it has secrets in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no kubeconfig, or nothing in it. Then a local cluster's own may be used.
    #[error("there is no kubeconfig")]
    Nothing {
        /// Where it would be.
        looked: Vec<PathBuf>,
    },
    /// A file could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The kubeconfig, or a file that it names.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// It is not a kubeconfig.
    #[error("cannot understand {name}{}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Parse {
        /// Which kubeconfig.
        name: String,
        /// Where it goes wrong.
        line: Option<u64>,
    },
    /// It is larger than any kubeconfig should be.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The admin kubeconfig of a container asks for more than a container is trusted with.
    #[error("cannot use the admin kubeconfig of container {container}: {reason}")]
    Unfit {
        /// The container's name.
        container: String,
        /// What is wrong with it.
        reason: Unfit,
    },
    /// It does not say which context to use.
    #[error("the kubeconfig has no current context")]
    NoCurrentContext {
        /// The names that there are.
        known: Vec<String>,
    },
    /// There is no context of this name.
    #[error("there is no context {name} in the kubeconfig")]
    UnknownContext {
        /// As it was asked for.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// A context names a cluster that there is not.
    #[error("context {context} is of cluster {cluster}, which the kubeconfig does not have")]
    NoCluster {
        /// The context.
        context: String,
        /// The cluster's name; empty if the context names none.
        cluster: String,
    },
    /// The server's address is none.
    #[error("{server:?} is not the address of an API server")]
    BadServer {
        /// As it is written.
        server: String,
    },
    /// The server is to be reached through a proxy, which portgate cannot do.
    #[error("the API server {server} is to be reached through the proxy {proxy}, which portgate does not support")]
    Proxy {
        /// The server's URL.
        server: String,
        /// The cluster's `proxy-url`.
        proxy: String,
    },
    /// A certificate or a key is missing, or is none.
    #[error("cannot use the certificates of {of}")]
    Certificates {
        /// Whose they are.
        of: Source,
        /// What is wrong with them.
        #[source]
        source: Box<KubeconfigError>,
    },
    /// The certificates make no connection.
    #[error("cannot use the certificates of {of}")]
    Tls {
        /// Whose they are.
        of: Source,
        /// What is wrong with them.
        #[source]
        source: Box<RustlsTlsError>,
    },
    /// The credential plugin did not start.
    #[error("cannot run the credential plugin {plugin} of {of}")]
    PluginStart {
        /// Its command.
        plugin: String,
        /// Whose it is.
        of: Source,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The credential plugin ran and failed.
    #[error("the credential plugin {plugin} of {of} failed, {status}")]
    PluginFailed {
        /// Its command.
        plugin: String,
        /// Whose it is.
        of: Source,
        /// How it ended.
        status: ExitStatus,
    },
    /// The credentials are of a kind that is not supported, or the plugin's answer is not understood.
    #[error("cannot use the credentials of {of}")]
    Credentials {
        /// Whose they are.
        of: Source,
    },
}

/// Why the admin kubeconfig of a container is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It would make portgate run, read, send or trust something.
    #[error("its {part} has `{field}`, and only inline certificates, keys and tokens are taken out of a container")]
    Refused {
        /// The context, the cluster or the user.
        part: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// A value is not of its kind. It is not repeated: it may be a secret.
    #[error("`{field}` of its {part} is not valid")]
    Malformed {
        /// The context, the cluster or the user.
        part: &'static str,
        /// The field's name.
        field: &'static str,
    },
    /// It has no context that leads to a cluster.
    #[error("it has no context with a cluster")]
    NoContext,
    /// It does not say how the server is recognised.
    #[error("its cluster has no `certificate-authority-data`, so the API server cannot prove what it is")]
    NoAuthority,
    /// The server is plain HTTP.
    #[error("its server is not https, so the credentials would be sent unencrypted")]
    Unencrypted,
}

impl Error {
    /// What mends it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Nothing { looked } if looked.is_empty() => "set KUBECONFIG to its path".to_owned(),
            Self::Nothing { looked } => {
                let looked: Vec<String> = looked.iter().map(|path| path.display().to_string()).collect();
                format!("looked at {}; set KUBECONFIG to its path", looked.join(", "))
            }
            Self::NoCurrentContext { known } if known.is_empty() => return None,
            Self::NoCurrentContext { known } => {
                format!("name one with --context, or choose it with `kubectl config use-context`; {}", list(known))
            }
            Self::UnknownContext { name, known } => {
                let guess = suggest::nearest(name, known.iter().map(String::as_str));
                let guess = guess.map(|guess| format!("did you mean {guess}? ")).unwrap_or_default();
                format!("{guess}{}", list(known))
            }
            Self::BadServer { .. } => "write https://HOST:PORT as the cluster's `server` in the kubeconfig".to_owned(),
            Self::NoCluster { .. } | Self::Parse { .. } => {
                "see whether `kubectl config view` understands the kubeconfig".to_owned()
            }
            Self::PluginStart { .. } => "install it, or see whether its directory is in PATH".to_owned(),
            Self::PluginFailed { plugin, .. } => format!("see what `{plugin}` says: perhaps a new login is due"),
            Self::Credentials { .. } => "see whether `kubectl version` can use them".to_owned(),
            Self::Unfit { .. } => "name a context of your own kubeconfig with `--context`".to_owned(),
            Self::Exceeded(_)
            | Self::Read { .. }
            | Self::Proxy { .. }
            | Self::Certificates { .. }
            | Self::Tls { .. } => return None,
        })
    }

    /// A file that cannot be used as a kubeconfig. The parser's own message quotes the lines around the mistake.
    pub(super) fn of_file(error: KubeconfigError, path: &Path) -> Self {
        let line = match error {
            KubeconfigError::ReadConfig(source, _) => return Self::Read { path: path.to_owned(), source },
            KubeconfigError::Parse(error) => error.location().map(|location| location.line()),
            _ => None,
        };
        Self::Parse { name: path.display().to_string(), line }
    }

    /// A context that cannot be used.
    pub(super) fn of_credentials(error: KubeconfigError, of: &Source) -> Self {
        Self::Certificates { of: of.clone(), source: Box::new(error) }
    }

    /// A client that cannot be made; `plugin` is the command of the context's credential plugin.
    pub(crate) fn of_client(error: kube::Error, of: &Source, plugin: Option<&str>) -> Self {
        let of = of.clone();
        let plugin = plugin.unwrap_or_default().to_owned();
        match error {
            kube::Error::InferKubeconfig(source) => Self::Certificates { of, source: Box::new(source) },
            kube::Error::RustlsTls(source) => Self::Tls { of, source: Box::new(source) },
            kube::Error::Auth(AuthError::AuthExecStart(source)) => Self::PluginStart { plugin, of, source },
            kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
                Self::PluginFailed { plugin, of, status: out.status }
            }
            _ => Self::Credentials { of },
        }
    }
}

fn list(known: &[String]) -> String {
    format!("contexts are: {}", known.join(", "))
}
