//! Kubeconfigs in throw-away directories.

use std::error::Error as _;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kube::client::ConfigExt as _;
use portgate_core::causes;
use portgate_core::limits;
use tempfile::TempDir;

use super::*;

/// What must never be seen.
const SECRET: &str = "geheim";

/// A kubeconfig with these contexts, each of a cluster of its own at this server.
fn kubeconfig(current: &str, contexts: &[(&str, &str)]) -> String {
    let mut text = format!("apiVersion: v1\nkind: Config\ncurrent-context: {current:?}\ncontexts:\n");
    for (name, _) in contexts {
        writeln!(text, "- name: {name}\n  context: {{ cluster: {name}, user: me, namespace: of-{name} }}").unwrap();
    }
    text += "clusters:\n";
    for (name, server) in contexts {
        writeln!(text, "- name: {name}\n  cluster: {{ server: {server:?} }}").unwrap();
    }
    text + "users:\n- name: me\n  user: { token: geheim }\n"
}

/// The same with a certificate authority, without which a container's is not used.
fn with_authority(text: &str) -> String {
    text.replace("server:", "certificate-authority-data: YQ==, server:")
}

struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self
    }

    /// Settings with a `KUBECONFIG` of these files.
    fn settings(&self, files: &[&str]) -> Settings {
        Settings { kubeconfigs: files.iter().map(|name| self.path(name)).collect(), ..Settings::default() }
    }
}

fn in_context(name: &str, settings: Settings) -> Settings {
    Settings { context: Some(name.to_owned()), ..settings }
}

fn refusal(settings: &Settings) -> Error {
    Access::of_user(settings).unwrap_err()
}

fn token(config: &Config) -> String {
    // The credentials do not show themselves: a header does, where it is asked for.
    let auth = serde_json::to_value(&config.auth_info).unwrap();
    auth["token"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_current_context_says_server_and_namespace() {
    let home = Home::new().with("config", &kubeconfig("b", &[("a", "https://a:6443"), ("b", "https://b:6443/")]));
    let access = Access::of_user(&home.settings(&["config"])).unwrap();
    assert_eq!(access.server(), "https://b:6443");
    assert_eq!(access.namespace(), "of-b");
    assert_eq!(access.source().to_string(), format!("context b of {}", home.path("config").display()));
}

#[test]
fn a_named_context_goes_before_the_current_one() {
    let home = Home::new().with("config", &kubeconfig("a", &[("a", "https://a:6443"), ("b", "https://b:6443")]));
    let access = Access::of_user(&in_context("b", home.settings(&["config"]))).unwrap();
    assert_eq!(access.server(), "https://b:6443");
}

#[test]
fn of_several_files_the_first_counts_and_missing_ones_are_passed_over() {
    let home = Home::new()
        .with("one", &kubeconfig("", &[("a", "https://first:6443")]))
        .with("two", &kubeconfig("b", &[("a", "https://second:6443"), ("b", "https://b:6443")]));
    let settings = home.settings(&["none", "one", "two"]);
    let access = Access::of_user(&settings).unwrap();
    assert_eq!(access.source(), &Source::Context { name: "b".to_owned(), file: home.path("two") });
    let access = Access::of_user(&in_context("a", settings)).unwrap();
    assert_eq!(access.server(), "https://first:6443");
    assert_eq!(access.source(), &Source::Context { name: "a".to_owned(), file: home.path("one") });
}

#[test]
fn a_named_file_is_the_only_one_and_has_to_be_there() {
    let home = Home::new()
        .with("mine", &kubeconfig("a", &[("a", "https://mine:6443")]))
        .with("config", &kubeconfig("a", &[("a", "https://config:6443")]));
    let named = |name| Settings { kubeconfig: Some(home.path(name)), ..home.settings(&["config"]) };
    assert_eq!(Access::of_user(&named("mine")).unwrap().server(), "https://mine:6443");
    assert!(matches!(refusal(&named("none")), Error::Read { path, .. } if path == home.path("none")));
}

#[test]
fn no_kubeconfig_at_all_is_a_case_of_its_own() {
    let home = Home::new().with("empty", "");
    for settings in [home.settings(&[]), home.settings(&["none"]), home.settings(&["empty"])] {
        assert!(matches!(refusal(&settings), Error::Nothing { .. }), "{settings:?}");
    }
    let error = refusal(&in_context("k3d-mycluster", home.settings(&["none"])));
    assert!(error.hint().unwrap().contains(&home.path("none").display().to_string()));
}

#[test]
fn an_unknown_context_is_refused_with_the_nearest_and_the_list() {
    let home =
        Home::new().with("config", &kubeconfig("", &[("k3d-mycluster", "https://a:1"), ("other", "https://b:1")]));
    let error = refusal(&in_context("k3d-myclsuter", home.settings(&["config"])));
    assert_eq!(error.to_string(), "there is no context k3d-myclsuter in the kubeconfig");
    let hint = error.hint().unwrap();
    assert_eq!(hint, "did you mean k3d-mycluster? contexts are: k3d-mycluster, other");
    let error = refusal(&home.settings(&["config"]));
    assert_eq!(error.to_string(), "the kubeconfig has no current context");
    assert!(error.hint().unwrap().ends_with("contexts are: k3d-mycluster, other"));
}

#[test]
fn a_context_without_a_cluster_or_with_a_bad_server_is_refused() {
    let home = Home::new()
        .with("none", "contexts:\n- name: a\n  context: { cluster: gone, user: me }\ncurrent-context: a\n")
        .with("bad", &kubeconfig("a", &[("a", "a:6443")]))
        .with("proxy", &kubeconfig("a", &[("a", "https://a:6443")]).replace("server:", "proxy-url: http://p, server:"));
    let error = refusal(&home.settings(&["none"]));
    assert_eq!(error.to_string(), "context a is of cluster gone, which the kubeconfig does not have");
    assert_eq!(refusal(&home.settings(&["bad"])).to_string(), r#""a:6443" is not the address of an API server"#);
    assert!(matches!(refusal(&home.settings(&["proxy"])), Error::Proxy { proxy, .. } if proxy == "http://p"));
}

#[test]
fn a_broken_kubeconfig_is_named_with_its_line_and_without_its_words() {
    let text = kubeconfig("a", &[("a", "https://a:6443")]).replace("user: { token", "user: { [token");
    let home = Home::new().with("config", &text);
    let error = refusal(&home.settings(&["config"]));
    assert_eq!(error.to_string(), format!("cannot understand {}, line 12", home.path("config").display()));
    assert!(error.source().is_none());
    assert!(!format!("{error:?}").contains(SECRET));
}

#[test]
fn files_that_the_kubeconfig_names_are_found_beside_it() {
    let text = kubeconfig("a", &[("a", "https://a:6443")]).replace("server:", "certificate-authority: ca.crt, server:");
    let home = Home::new().with("config", &text);
    let error = refusal(&home.settings(&["config"]));
    assert!(matches!(error, Error::Certificates { .. }));
    assert!(causes::line(&error).contains(&home.path("ca.crt").display().to_string()), "{}", causes::line(&error));
}

#[test]
fn an_access_shows_no_secret() {
    let text = kubeconfig("a", &[("a", "https://a:6443")]);
    let home = Home::new().with("config", &text);
    let user = Access::of_user(&home.settings(&["config"])).unwrap();
    let text = with_authority(&text);
    let container = ContainerKubeconfig::read("server", &text).unwrap();
    assert!(!format!("{container:?}").contains(SECRET));
    let container = Access::of_container(container, "172.20.0.2:6443".parse().unwrap());
    for access in [user, container] {
        assert_eq!(token(&access.read().unwrap().1), SECRET);
        assert!(!format!("{access:?}{}", access.source()).contains(SECRET));
    }
}

#[test]
fn a_kubeconfig_or_a_token_file_that_is_far_too_large_is_not_read() {
    let home = Home::new().with("config", &kubeconfig("a", &[("a", "https://a:6443")]));
    let large = |name: &str, size: usize| {
        let file = fs::OpenOptions::new().append(true).create(true).open(home.path(name)).unwrap();
        file.set_len(size.try_into().unwrap()).unwrap();
    };
    large("config", limits::KUBECONFIG.most + 1);
    let error = refusal(&home.settings(&["config"]));
    let expected = format!("{} exceeds the limit of 4 MiB for a kubeconfig", home.path("config").display());
    assert_eq!(error.to_string(), expected);

    let text = kubeconfig("a", &[("a", "https://a:6443")]).replace("token: geheim", "tokenFile: token");
    fs::write(home.path("config"), text).unwrap();
    large("token", 1 << 30);
    let error = Access::of_user(&home.settings(&["config"])).unwrap().read().unwrap_err();
    assert!(error.to_string().ends_with("exceeds the limit of 64 KiB for a token file"), "{error}");
}

#[test]
fn a_token_that_no_header_can_have_is_an_error() {
    let text = kubeconfig("a", &[("a", "https://a:6443")]).replace("geheim", r#""a\nb""#);
    let home = Home::new().with("config", &text);
    let error = Access::of_user(&home.settings(&["config"])).unwrap().read().unwrap_err();
    assert!(matches!(error, Error::Credentials { .. }), "{error:?}");
}

#[test]
fn a_token_file_is_read_each_time_and_its_line_end_is_left_out() {
    let text = kubeconfig("a", &[("a", "https://a:6443")]).replace("token: geheim", "tokenFile: token, token: old");
    let home = Home::new().with("config", &text).with("token", "one\n");
    let access = Access::of_user(&home.settings(&["config"])).unwrap();
    assert_eq!(token(&access.read().unwrap().1), "one");
    let home = home.with("token", "two");
    assert_eq!(token(&access.read().unwrap().1), "two");
    fs::remove_file(home.path("token")).unwrap();
    assert_eq!(token(&access.read().unwrap().1), "old");
    let home = home.with("config", &text.replace(", token: old", ""));
    assert!(matches!(access.read(), Err(Error::Read { path, .. }) if path == home.path("token")));
}

#[test]
fn a_context_that_was_chosen_stays_when_another_becomes_the_current_one() {
    let contexts = [("a", "https://a:6443"), ("b", "https://b:6443")];
    let home = Home::new().with("config", &kubeconfig("a", &contexts));
    let access = Access::of_user(&home.settings(&["config"])).unwrap();
    let moved = [("a", "https://a:7443"), ("b", "https://b:6443")];
    let _home = home.with("config", &kubeconfig("b", &moved));
    assert_eq!(access.read().unwrap().0.server(), "https://a:7443");
}

fn pod(directory: &Path) -> Settings {
    let variables = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some("fd00::1".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
        _ => None,
    };
    let mut settings = Settings::from_variables(variables);
    settings.pod.as_mut().unwrap().service_account = directory.to_owned();
    settings
}

#[test]
fn a_program_in_a_pod_uses_its_service_account_if_there_is_nothing_else() {
    let home = Home::new().with("token", "geheim\n").with("namespace", "shop\n").with("ca.crt", "");
    let access = Access::of_user(&pod(home.0.path())).unwrap();
    assert_eq!(access.source(), &Source::Pod);
    assert_eq!((access.server(), access.namespace()), ("https://[fd00::1]:443", "shop"));
    assert_eq!(token(&access.read().unwrap().1), SECRET);

    let named = in_context("k3d-my", pod(home.0.path()));
    assert!(matches!(refusal(&named), Error::Nothing { .. }));
    let home = home.with("config", &kubeconfig("a", &[("a", "https://a:6443")]));
    let both = Settings { kubeconfigs: vec![home.path("config")], ..pod(home.0.path()) };
    assert_eq!(Access::of_user(&both).unwrap().server(), "https://a:6443");
    assert!(matches!(refusal(&pod(Path::new("/nowhere"))), Error::Nothing { .. }));
}

#[cfg(unix)]
#[test]
fn a_credential_plugin_that_fails_is_named_without_what_it_said() {
    let plugin = |command: &str| {
        let exec = format!(
            "exec: {{ apiVersion: client.authentication.k8s.io/v1, command: {command}, interactiveMode: Never, \
             args: [-c, 'echo geheim; exit 3'] }}"
        );
        let home =
            Home::new().with("config", &kubeconfig("a", &[("a", "https://a:6443")]).replace("token: geheim", &exec));
        let access = Access::of_user(&home.settings(&["config"])).unwrap();
        let (access, config) = access.read().unwrap();
        Error::of_client(config.auth_layer().err().unwrap(), access.source(), Some(command))
    };
    let error = plugin("sh");
    assert!(error.to_string().starts_with("the credential plugin sh of context a of "), "{error}");
    assert!(error.to_string().ends_with("failed, exit status: 3"), "{error}");
    assert!(!format!("{error:?}{}", causes::line(&error)).contains(SECRET));
    assert!(matches!(plugin("no-such-plugin"), Error::PluginStart { plugin, .. } if plugin == "no-such-plugin"));
}
