//! Which API server the user means, in the words of kubectl: its options and environment variables.

use std::path::PathBuf;

/// Where a pod finds its own token and the certificate authority of its API server.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What decides which API server is used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// A kubeconfig that the user named: then no other file is read.
    pub kubeconfig: Option<PathBuf>,
    /// The context that the user named, else the current one.
    pub context: Option<String>,
    /// The files of `KUBECONFIG`, else `~/.kube/config`. Of what two files tell, the first one counts; those that do
    /// not exist are passed over.
    pub kubeconfigs: Vec<PathBuf>,
    /// What a program in a pod has, instead of a kubeconfig.
    pub pod: Option<PodSettings>,
}

/// How a pod reaches the API server of its own cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSettings {
    /// `KUBERNETES_SERVICE_HOST`, an IP address or a name.
    pub host: String,
    /// `KUBERNETES_SERVICE_PORT`.
    pub port: String,
    /// The directory of `token`, `ca.crt` and `namespace`.
    pub service_account: PathBuf,
}

impl Settings {
    /// The settings in environment variables; an empty one counts as unset, as it does for kubectl.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let kubeconfigs = if let Some(list) = set("KUBECONFIG") {
            std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty()).collect()
        } else {
            let home = set(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
            home.map(|home| PathBuf::from(home).join(".kube").join("config")).into_iter().collect()
        };
        let pod = set("KUBERNETES_SERVICE_HOST").zip(set("KUBERNETES_SERVICE_PORT"));
        let pod = pod.map(|(host, port)| PodSettings { host, port, service_account: PathBuf::from(SERVICE_ACCOUNT) });
        Self { kubeconfig: None, context: None, kubeconfigs, pod }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn kubeconfig_is_a_list_of_files_and_goes_before_the_one_at_home() {
        let variables = |name: &str| match name {
            "KUBECONFIG" => Some("/a::/b".to_owned()),
            "HOME" => Some("/home/me".to_owned()),
            _ => None,
        };
        assert_eq!(Settings::from_variables(variables).kubeconfigs, [PathBuf::from("/a"), PathBuf::from("/b")]);
    }

    #[cfg(unix)]
    #[test]
    fn an_empty_variable_is_no_variable() {
        let variables = |name: &str| match name {
            "HOME" => Some("/home/me".to_owned()),
            _ => Some(String::new()),
        };
        let settings = Settings::from_variables(variables);
        assert_eq!(settings.kubeconfigs, [PathBuf::from("/home/me/.kube/config")]);
        assert_eq!(settings.pod, None);
    }

    #[test]
    fn without_a_home_there_is_no_file_to_look_at() {
        assert_eq!(Settings::from_variables(|_| None), Settings::default());
    }
}
