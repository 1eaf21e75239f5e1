//! The user's kubeconfig files, read and merged as kubectl does.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use http::HeaderValue;
use kube::Config;
use kube::config::{Cluster, Kubeconfig, KubeconfigError};
use portgate_core::limits::{self, Limit};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Error, Source};
use crate::settings::Settings;

/// The namespace of a context that names none.
pub(super) const DEFAULT_NAMESPACE: &str = "default";

/// A context that was chosen, and all that was read with it.
pub(super) struct Chosen {
    /// The context's name.
    pub(super) context: String,
    /// The file that has it.
    pub(super) file: PathBuf,
    pub(super) server: String,
    pub(super) namespace: String,
    /// The files as one, with this context as the current one.
    pub(super) kubeconfig: Kubeconfig,
}

/// Reads the files and chooses the context.
pub(super) fn choose(settings: &Settings) -> Result<Chosen, Error> {
    let mut merged = Kubeconfig::default();
    let mut contexts: Vec<(String, PathBuf)> = Vec::new();
    for (path, kubeconfig) in files(settings)? {
        contexts.extend(kubeconfig.contexts.iter().map(|context| (context.name.clone(), path.clone())));
        merged = merged.merge(kubeconfig).map_err(|error| Error::of_file(error, &path))?;
    }
    if contexts.is_empty() && merged.clusters.is_empty() {
        return Err(Error::Nothing { looked: looked(settings) });
    }
    let known = || contexts.iter().map(|(name, _)| name.clone()).collect();
    let Some(name) = settings.context.clone().or_else(|| merged.current_context.clone()) else {
        return Err(Error::NoCurrentContext { known: known() });
    };
    let Some((context, file)) = contexts.iter().find(|(context, _)| *context == name).cloned() else {
        return Err(Error::UnknownContext { name, known: known() });
    };
    let (cluster, namespace) = cluster_of(&merged, &context)?;
    let server = server_of(cluster)?;
    let kubeconfig = Kubeconfig { current_context: Some(context.clone()), ..merged };
    Ok(Chosen { context, file, server, namespace, kubeconfig })
}

fn looked(settings: &Settings) -> Vec<PathBuf> {
    settings.kubeconfig.as_ref().map_or_else(|| settings.kubeconfigs.clone(), |path| vec![path.clone()])
}

/// The files that there are, in the order of their precedence. One that the user named has to be there.
fn files(settings: &Settings) -> Result<Vec<(PathBuf, Kubeconfig)>, Error> {
    if let Some(path) = &settings.kubeconfig {
        let missing = || Error::Read { path: path.clone(), source: io::ErrorKind::NotFound.into() };
        return Ok(vec![(path.clone(), file(path)?.ok_or_else(missing)?)]);
    }
    let read = |path: &PathBuf| file(path).map(|found| found.map(|kubeconfig| (path.clone(), kubeconfig))).transpose();
    settings.kubeconfigs.iter().filter_map(read).collect()
}

/// What a file says; none if it does not exist.
fn file(path: &Path) -> Result<Option<Kubeconfig>, Error> {
    // What is not a regular file, such as a shell's `<(...)`, tells no size and can be read only once.
    if let Ok(metadata) = path.metadata() {
        let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
        limits::KUBECONFIG.check(size, || path.display().to_string())?;
    }
    match Kubeconfig::read_from(path) {
        Ok(mut kubeconfig) => {
            // Such a word sets nothing: a file that comes later may.
            kubeconfig.current_context = kubeconfig.current_context.filter(|name| !name.is_empty());
            Ok(Some(kubeconfig))
        }
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::of_file(error, path)),
    }
}

/// The cluster of this context, and its namespace.
pub(super) fn cluster_of<'a>(kubeconfig: &'a Kubeconfig, name: &str) -> Result<(&'a Cluster, String), Error> {
    let context = kubeconfig.contexts.iter().find(|context| context.name == name);
    let context = context.and_then(|context| context.context.as_ref());
    let wanted = context.map(|context| context.cluster.as_str()).unwrap_or_default();
    let cluster = kubeconfig.clusters.iter().find(|cluster| cluster.name == wanted);
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let no_cluster = || Error::NoCluster { context: name.to_owned(), cluster: wanted.to_owned() };
    let namespace = context.and_then(|context| context.namespace.clone()).filter(|namespace| !namespace.is_empty());
    Ok((cluster.ok_or_else(no_cluster)?, namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned())))
}

/// The cluster's URL.
pub(super) fn server_of(cluster: &Cluster) -> Result<String, Error> {
    let server = cluster.server.clone().unwrap_or_default();
    if let Some(proxy) = cluster.proxy_url.clone().filter(|url| !url.is_empty()) {
        return Err(Error::Proxy { server, proxy });
    }
    let url = server.parse::<http::Uri>().ok();
    let is_url = url.is_some_and(|url| matches!(url.scheme_str(), Some("http" | "https")));
    if is_url { Ok(server.trim_end_matches('/').to_owned()) } else { Err(Error::BadServer { server }) }
}

/// Replaces the name of a token's file by the token that is in it now. It counts more than one that stands in the
/// kubeconfig itself, as it does for kubectl, and the end of its line does not belong to it.
pub(super) fn with_token(mut config: Config, of: &Source) -> Result<Config, Error> {
    if let Some(path) = config.auth_info.token_file.take() {
        match read(Path::new(&path), limits::CREDENTIAL_FILE) {
            Ok(token) => config.auth_info.token = Some(token.trim().to_owned().into()),
            Err(error) if config.auth_info.token.is_none() => return Err(error),
            Err(_) => {}
        }
    }
    // The client panics on a token that no header can have.
    let is_fit = |token: &SecretString| HeaderValue::from_str(token.expose_secret()).is_ok();
    if config.auth_info.token.as_ref().is_none_or(is_fit) {
        Ok(config)
    } else {
        Err(Error::Credentials { of: of.clone() })
    }
}

/// The text of a file, which is no longer than this.
pub(super) fn read(path: &Path, limit: Limit) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let most = u64::try_from(limit.most).unwrap_or(u64::MAX);
    File::open(path).map_err(failed)?.take(most.saturating_add(1)).read_to_string(&mut text).map_err(failed)?;
    limit.check(text.len(), || path.display().to_string())?;
    Ok(text)
}
