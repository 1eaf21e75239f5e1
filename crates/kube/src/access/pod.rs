//! The service account of the pod that this program runs in.

use kube::Config;
use portgate_core::limits::CREDENTIAL_FILE;

use super::Error;
use super::kubeconfig::{DEFAULT_NAMESPACE, read};
use crate::settings::PodSettings;

/// Whether there is a service account.
pub(super) fn is_in(pod: &PodSettings) -> bool {
    pod.service_account.join("token").is_file()
}

/// The API server's URL.
pub(super) fn server(pod: &PodSettings) -> String {
    let PodSettings { host, port, .. } = pod;
    if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") }
}

/// The pod's own namespace.
pub(super) fn namespace(pod: &PodSettings) -> String {
    let namespace = read(&pod.service_account.join("namespace"), CREDENTIAL_FILE).unwrap_or_default();
    if namespace.trim().is_empty() { DEFAULT_NAMESPACE.to_owned() } else { namespace.trim().to_owned() }
}

/// What a client needs.
pub(super) fn config(pod: &PodSettings) -> Result<Config, Error> {
    let server = server(pod);
    let url = server.parse().map_err(|_| Error::BadServer { server })?;
    let mut config = Config::new(url);
    config.default_namespace = namespace(pod);
    config.root_cert_file = Some(pod.service_account.join("ca.crt"));
    config.auth_info.token_file = pod.service_account.join("token").to_str().map(str::to_owned);
    Ok(config)
}
