//! Kubeconfigs that come out of containers.

use kube::Config;
use portgate_core::limits;

use super::*;
use crate::access::{Access, Source};

const TOKEN: &str = "geheim";

/// A certificate authority, in PEM and base64.
fn authority() -> String {
    let parameters = rcgen::CertificateParams::new(["kubernetes".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    base64::Engine::encode(&base64::engine::general_purpose::STANDARD, certificate.pem())
}

/// The kubeconfig that k3s writes, with these fields of its cluster and of its user.
fn of_k3s(cluster: &str, user: &str) -> String {
    let authority = authority();
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {authority}
    server: https://127.0.0.1:6443
    {cluster}
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
preferences: {{}}
users:
- name: default
  user:
    client-certificate-data: Y2VydGlmaWNhdGU=
    client-key-data: a2V5
    {user}
"
    )
}

fn read(text: &str) -> Result<ContainerKubeconfig, Error> {
    ContainerKubeconfig::read("k3d-my-server-0", text)
}

fn unfit(text: &str) -> Unfit {
    match read(text) {
        Err(Error::Unfit { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

/// What the client is given.
fn config(text: &str, address: &str) -> Config {
    Access::of_container(read(text).unwrap(), address.parse().unwrap()).read().unwrap().1
}

#[test]
fn the_kubeconfig_of_a_server_is_used_at_the_address_that_can_be_reached() {
    let text = of_k3s("", &format!("token: {TOKEN}")).replace("127.0.0.1:6443", "127.0.0.1:6444/base");
    let kubeconfig = read(&text).unwrap();
    assert_eq!(kubeconfig.port(), Port::new(6444).unwrap());
    let access = Access::of_container(kubeconfig, "[fd00::2]:6444".parse().unwrap());
    assert_eq!(access.source(), &Source::Container { name: "k3d-my-server-0".to_owned() });
    assert_eq!((access.server(), access.namespace()), ("https://[fd00::2]:6444", "default"));
    let (_, config) = access.read().unwrap();
    assert_eq!(config.cluster_url, "https://[fd00::2]:6444");
    assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
    assert_eq!(config.root_cert.as_ref().map(Vec::len), Some(1));
    assert!(!config.accept_invalid_certs);
    let taken = serde_json::to_value(&config.auth_info).unwrap();
    let expected = serde_json::json!({
        "token": TOKEN, "client-certificate-data": "Y2VydGlmaWNhdGU=", "client-key-data": "a2V5"
    });
    assert_eq!(taken, expected, "and nothing else");
}

#[test]
fn what_kubeadm_writes_beside_the_credentials_is_ignored() {
    let extension = "extensions: [{ name: cluster_info, extension: { provider: minikube.sigs.k8s.io } }]";
    let text = of_k3s(extension, "").replace("    user: default", "    user: default\n    namespace: shop");
    assert_eq!(read(&text).unwrap().namespace, "shop");
}

#[test]
fn a_field_that_runs_reads_sends_or_trusts_something_is_refused_by_its_name() {
    let of_user = [
        ("exec", "exec: { apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'touch /tmp/x'] }"),
        ("auth-provider", "auth-provider: { name: gcp, config: { cmd-path: /bin/sh } }"),
        ("tokenFile", "tokenFile: /root/.ssh/id_ed25519"),
        ("client-certificate", "client-certificate: /etc/passwd"),
        ("client-key", "client-key: /etc/passwd"),
        ("username", "username: admin"),
        ("password", "password: geheim"),
        ("as", "as: root"),
        ("as-uid", "as-uid: '0'"),
        ("as-groups", "as-groups: ['system:masters']"),
        ("as-user-extra", "as-user-extra: { scopes: [all] }"),
    ];
    for (field, text) in of_user {
        assert_eq!(unfit(&of_k3s("", text)), Unfit::Refused { part: "user", field });
    }
    let of_cluster = [
        ("certificate-authority", "certificate-authority: /etc/passwd"),
        ("insecure-skip-tls-verify", "insecure-skip-tls-verify: true"),
        ("proxy-url", "proxy-url: http://proxy"),
        ("tls-server-name", "tls-server-name: other"),
    ];
    for (field, text) in of_cluster {
        assert_eq!(unfit(&of_k3s(text, "")), Unfit::Refused { part: "cluster", field });
    }
    let error = read(&of_k3s("", of_user[0].1)).unwrap_err();
    let expected = "cannot use the admin kubeconfig of container k3d-my-server-0: its user has `exec`, and only inline \
                    certificates, keys and tokens are taken out of a container";
    assert_eq!(error.to_string(), expected);
    assert!(error.hint().unwrap().contains("--context"));
}

#[test]
fn an_empty_field_is_none() {
    let text = of_k3s("insecure-skip-tls-verify: false", "tokenFile: ''")
        .replace("    client-key", "    exec:\n    client-key");
    assert!(read(&text).is_ok());
}

#[test]
fn a_field_that_no_version_knows_is_not_taken() {
    let config = config(&of_k3s("socks: evil", "wasm-plugin: evil"), "172.20.0.2:6443");
    assert!(!format!("{:?}", config.auth_info).contains("evil"));
    assert!(!format!("{config:?}").contains("evil"));
}

#[test]
fn other_contexts_and_users_are_ignored() {
    let others = "- name: other\n  user: { exec: { command: sh } }\nextensions: []\n";
    assert!(read(&(of_k3s("", "") + others)).is_ok());
}

#[test]
fn a_server_has_to_prove_what_it_is_and_to_keep_the_credentials_secret() {
    let text = of_k3s("", "");
    let authority = text.lines().find(|line| line.contains("certificate-authority-data")).unwrap();
    assert_eq!(unfit(&text.replace(authority, "")), Unfit::NoAuthority);
    assert_eq!(unfit(&text.replace(authority, "    certificate-authority-data: ''")), Unfit::NoAuthority);
    assert_eq!(unfit(&text.replace("https:", "http:")), Unfit::Unencrypted);
}

#[test]
fn a_value_that_is_not_of_its_kind_is_refused_and_not_repeated() {
    let malformed = |part, field| Unfit::Malformed { part, field };
    for server in ["unix:/run/x", "ftp://a", "https://127.0.0.1:0", "", "{ a: b }"] {
        let text = of_k3s("", "").replace("server: https://127.0.0.1:6443", &format!("server: {server}"));
        assert_eq!(unfit(&text), malformed("cluster", "server"), "{server}");
    }
    for token in [r#""a\r\nX-Evil: b""#, "12", "[a]", "'a b'"] {
        let error = read(&of_k3s("", &format!("token: {token}"))).unwrap_err();
        assert_eq!(error.to_string().matches("Evil").count(), 0);
        assert!(matches!(error, Error::Unfit { reason, .. } if reason == malformed("user", "token")), "{token}");
    }
    for namespace in ["'a; rm -rf ~'", "../b", "1"] {
        let text =
            of_k3s("", "").replace("    user: default", &format!("    user: default\n    namespace: {namespace}"));
        assert_eq!(unfit(&text), malformed("context", "namespace"), "{namespace}");
    }
}

#[test]
fn a_kubeconfig_needs_a_context_and_the_first_is_as_good_as_the_current_one() {
    assert_eq!(unfit("kind: Config"), Unfit::NoContext);
    assert_eq!(unfit("contexts: [{ name: a, context: { cluster: gone } }]"), Unfit::NoContext);
    let text = of_k3s("", "");
    assert_eq!(unfit(&text.replace("current-context: default", "current-context: other")), Unfit::NoContext);
    assert!(read(&text.replace("current-context: default", "current-context: ''")).is_ok());
    let error = read("contexts: 1").unwrap_err();
    assert_eq!(error.to_string(), "cannot understand the admin kubeconfig of container k3d-my-server-0, line 1");
}

#[test]
fn a_text_that_is_long_or_deep_or_stands_for_a_long_one_is_refused() {
    let text = of_k3s("", "");
    let long = format!("{text}# {}", "x".repeat(limits::KUBECONFIG.most));
    let error = read(&long).unwrap_err();
    assert!(error.to_string().ends_with("exceeds the limit of 4 MiB for a kubeconfig"), "{error}");

    let many = format!("{text}extensions: [{}]", "0,".repeat(limits::KUBECONFIG_NODES.most));
    let error = read(&many).unwrap_err();
    assert!(error.to_string().ends_with("limit of 10000 YAML nodes of a container's kubeconfig"), "{error}");

    let deep = format!("{text}extensions: {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep).is_err());

    let mut bomb = format!("{text}extensions:\n- &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..30 {
        let before = format!("*a{}, ", level - 1).repeat(9);
        bomb.push_str(&["- &a", &level.to_string(), " [", &before, "]\n"].concat());
    }
    assert!(read(&bomb).is_err());
}
