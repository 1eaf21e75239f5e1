//! The kubeconfig that leads to a double.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::tls::Identity;

/// What a kubeconfig is to say, where it is not the usual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kubeconfig {
    /// The server's URL. Usual: `https://` and the address that it listens on; localhost if that is every address.
    pub server: Option<String>,
    /// The context's name. Usual: as in the [`Config`](crate::Config).
    pub context: Option<String>,
    /// A file with the bearer token. Usual: the token itself, if there is one.
    pub token_file: Option<PathBuf>,
}

/// What a kubeconfig says.
pub(crate) struct Contents<'a> {
    pub(crate) identity: &'a Identity,
    pub(crate) server: &'a str,
    pub(crate) context: &'a str,
    /// Whether the client's certificate is in it.
    pub(crate) certificate: bool,
    pub(crate) token: Option<&'a str>,
    pub(crate) token_file: Option<String>,
}

impl Contents<'_> {
    /// The text, as k3d writes it.
    pub(crate) fn text(&self) -> String {
        // A string in JSON is one in YAML.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (cluster, user) = (quoted(self.context), quoted(&format!("admin@{}", self.context)));
        let mut credentials = Vec::new();
        if self.certificate {
            credentials.push(format!("client-certificate-data: {}", STANDARD.encode(&self.identity.certificate)));
            credentials.push(format!("client-key-data: {}", STANDARD.encode(&self.identity.key)));
        }
        match (&self.token_file, self.token) {
            (Some(file), _) => credentials.push(format!("tokenFile: {}", quoted(file))),
            (None, Some(token)) => credentials.push(format!("token: {}", quoted(token))),
            (None, None) => {}
        }
        let credentials =
            if credentials.is_empty() { " {}".to_owned() } else { format!("\n    {}", credentials.join("\n    ")) };
        format!(
            "apiVersion: v1\n\
             clusters:\n\
             - cluster:\n    certificate-authority-data: {}\n    server: {}\n  name: {cluster}\n\
             contexts:\n\
             - context:\n    cluster: {cluster}\n    user: {user}\n  name: {cluster}\n\
             current-context: {cluster}\n\
             kind: Config\n\
             preferences: {{}}\n\
             users:\n\
             - name: {user}\n  user:{credentials}\n",
            STANDARD.encode(&self.identity.authority),
            quoted(self.server),
        )
    }
}
