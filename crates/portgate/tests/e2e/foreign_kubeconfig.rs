//! A node whose admin kubeconfig was written by somebody else: with it portgate runs, reads and sends nothing of the user's.

use std::fmt::Write as _;

use crate::client::tcp_echoes;
use crate::kubernetes::Kubernetes;
use crate::support::{Cluster, eventually, free_port, host_cluster, local};

/// The kubeconfig with another field of its user, or of its cluster.
fn with(honest: &str, before: &str, field: &str) -> String {
    let mut text = String::new();
    for line in honest.lines() {
        if line.trim_start().starts_with(before) {
            writeln!(text, "    {field}").unwrap();
        }
        writeln!(text, "{line}").unwrap();
    }
    assert_ne!(text.trim_end(), honest.trim_end());
    text
}

/// Both commands that ask the API server fail, and say why in these words.
async fn both_fail(cluster: &Cluster, words: &str) {
    for arguments in ["services".to_owned(), format!("open {}:svc/shop.backend:tcp", free_port())] {
        let ran = cluster.run(&arguments).await.fails(1);
        assert!(ran.stderr.contains(words), "{arguments}: {words}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_foreign_kubeconfig_runs_no_command_and_reads_no_file() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    cluster.run("services").await.ok();
    let directory = tempfile::tempdir().unwrap();
    let touched = directory.path().join("touched");
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "geheim").unwrap();
    let (touched, secret) = (touched.display().to_string(), secret.display().to_string());
    let exec = format!(
        "exec: {{ apiVersion: client.authentication.k8s.io/v1, command: sh, args: [-c, 'touch {touched}'], \
         interactiveMode: Never }}"
    );
    let honest = kubernetes.kubeconfig().await;
    for (before, field, name) in [
        ("client-certificate-data", exec.as_str(), "`exec`"),
        ("client-certificate-data", &format!("tokenFile: {secret}"), "`tokenFile`"),
        ("client-certificate-data", &format!("client-certificate: {secret}"), "`client-certificate`"),
        ("client-certificate-data", &format!("client-key: {secret}"), "`client-key`"),
        ("server", &format!("certificate-authority: {secret}"), "`certificate-authority`"),
        ("server", "insecure-skip-tls-verify: true", "`insecure-skip-tls-verify`"),
    ] {
        kubernetes.lay_down_kubeconfig(&with(&honest, before, field)).await;
        both_fail(&cluster, &format!("has {name}, and only inline certificates, keys and tokens")).await;
    }
    kubernetes.lay_down_kubeconfig(&honest.replace("https://", "http://")).await;
    both_fail(&cluster, "its server is not https").await;
    assert!(!std::path::Path::new(&touched).exists(), "the command ran");
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_kubeconfig_that_is_too_large_or_a_link_is_not_used() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes: Kubernetes<'_> = cluster.add_kubernetes().await;
    let honest = kubernetes.kubeconfig().await;
    kubernetes.lay_down_kubeconfig(&format!("{honest}# {}", "x".repeat(5 << 20))).await;
    both_fail(&cluster, "4 MiB for a kubeconfig").await;
    kubernetes.lay_down(|path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap()).await;
    both_fail(&cluster, &cluster.node("server-1")).await;
}

#[tokio::test]
async fn a_gate_does_not_use_a_foreign_kubeconfig_and_keeps_what_it_knew() {
    let Some(cluster) = host_cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/shop.backend:tcp")).await.ok();
    let exec = "exec: { apiVersion: client.authentication.k8s.io/v1, command: /portgate, args: [--version], \
                interactiveMode: Never }";
    let foreign = with(&kubernetes.kubeconfig().await, "client-certificate-data", exec);
    kubernetes.lay_down_kubeconfig(&foreign).await;
    cluster.run("restart").await.ok();
    eventually(async || {
        let log = cluster.run("logs").await.ok();
        format!("{}{}", log.stdout, log.stderr).contains("its user has `exec`").then_some(())
    })
    .await;
    tcp_echoes(local(port)).await;
}
