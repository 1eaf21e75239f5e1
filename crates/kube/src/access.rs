//! How an API server is reached: its address, and the credentials for it.
//!
//! There are two ways. [`Access::of_user`] follows the user's own kubeconfig, as kubectl does. [`Access::of_container`]
//! uses the admin kubeconfig that lies in each server container of a local cluster.

mod container;
mod error;
mod kubeconfig;
mod pod;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kube::Config;
use kube::config::Kubeconfig;

pub use container::{CONTAINER_KUBECONFIGS, ContainerKubeconfig};
pub use error::{Error, Unfit};

use crate::settings::{PodSettings, Settings};

/// Which credentials are used, for the user to recognise them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A context of the user's kubeconfig.
    Context {
        /// Its name.
        name: String,
        /// The file that has it.
        file: PathBuf,
    },
    /// The admin kubeconfig of a server container.
    Container {
        /// The container's name.
        name: String,
    },
    /// The service account of the pod that this program runs in.
    Pod,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context { name, file } => write!(f, "context {name} of {}", file.display()),
            Self::Container { name } => write!(f, "the admin kubeconfig of container {name}"),
            Self::Pod => f.write_str("the service account of this pod"),
        }
    }
}

/// A way to reach an API server. What it shows of itself has no secret in it.
#[derive(Clone)]
pub struct Access {
    source: Source,
    server: String,
    namespace: String,
    origin: Origin,
}

/// Where the credentials are read from, each time that a connection is made anew.
#[derive(Clone)]
enum Origin {
    /// Files, with the context pinned that was chosen at first.
    User(Settings),
    Container(Arc<ContainerKubeconfig>),
    Pod(PodSettings),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, server, namespace, origin: _ } = self;
        f.debug_struct("Access")
            .field("source", source)
            .field("server", server)
            .field("namespace", namespace)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// The access that kubectl would use: the context that `settings` name, else the current one, of the kubeconfig
    /// that they name, else of those of the environment. Within a pod, where there is no kubeconfig and no context is
    /// named, its service account.
    ///
    /// [`Error::Nothing`] says that the user has no kubeconfig. Proxies are not supported: `HTTPS_PROXY` is passed
    /// over, and a cluster with a `proxy-url` is refused.
    pub fn of_user(settings: &Settings) -> Result<Self, Error> {
        Self::look(settings).map(|(access, _)| access)
    }

    fn look(settings: &Settings) -> Result<(Self, Config), Error> {
        let chosen = match kubeconfig::choose(settings) {
            Err(nothing @ Error::Nothing { .. }) => {
                let pod = settings.pod.as_ref().filter(|pod| settings.context.is_none() && pod::is_in(pod));
                let pod = pod.ok_or(nothing)?;
                return Ok((Self::of_pod(pod), pod::config(pod)?));
            }
            chosen => chosen?,
        };
        let pinned = Settings { context: Some(chosen.context.clone()), ..settings.clone() };
        let access = Self {
            source: Source::Context { name: chosen.context, file: chosen.file },
            server: chosen.server,
            namespace: chosen.namespace,
            origin: Origin::User(pinned),
        };
        let config = access.config(chosen.kubeconfig)?;
        Ok((access, config))
    }

    /// The access that a server container's admin kubeconfig gives, by way of `address`: the node's own, or that of its
    /// published API port. Nothing is sent to any other.
    pub fn of_container(kubeconfig: ContainerKubeconfig, address: SocketAddr) -> Self {
        Self {
            source: Source::Container { name: kubeconfig.container().to_owned() },
            server: container::server(address),
            namespace: kubeconfig.namespace.clone(),
            origin: Origin::Container(Arc::new(kubeconfig)),
        }
    }

    fn of_pod(settings: &PodSettings) -> Self {
        Self {
            source: Source::Pod,
            server: pod::server(settings),
            namespace: pod::namespace(settings),
            origin: Origin::Pod(settings.clone()),
        }
    }

    /// Which credentials these are.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The API server's URL, such as `https://127.0.0.1:6443`.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The namespace of what is named without one: that of the context, else `default`.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads the credentials anew, and where the server is by now.
    pub(crate) fn read(&self) -> Result<(Self, Config), Error> {
        let (access, config) = match &self.origin {
            Origin::User(settings) => Self::look(settings)?,
            Origin::Container(container) => (self.clone(), self.config(container.kubeconfig(&self.server))?),
            Origin::Pod(settings) => (self.clone(), pod::config(settings)?),
        };
        let config = kubeconfig::with_token(config, &access.source)?;
        Ok((access, config))
    }

    /// What a client needs for the current context.
    fn config(&self, kubeconfig: Kubeconfig) -> Result<Config, Error> {
        Config::try_from(kubeconfig).map_err(|error| Error::of_credentials(error, &self.source))
    }
}

#[cfg(test)]
mod tests;
