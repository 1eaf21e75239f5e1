//! Gates that a newer portgate made.

use crate::client::tcp_echoes;
use crate::support::{Cluster, ECHO, cluster, free_port, local};

/// Replaces the cluster's gate by one that is the same, and says that a newer portgate made it.
async fn make_newer(cluster: &Cluster, port: u16) {
    let gate = cluster.gate();
    let old = cluster.inspect(&gate).await;
    cluster.docker(&["stop", &gate]).await;
    cluster.docker(&["rm", &gate]).await;
    let labels = gate_labels(cluster);
    let published = [format!("127.0.0.1:{port}:{port}"), format!("[::1]:{port}:{port}")];
    let (network, volume) = (cluster.network(), format!("{gate}:/var/lib/portgate"));
    let mut run = vec!["run", "--detach", "--name", &gate, "--network", &network, "--user", "65534:65534"];
    run.extend(["--read-only", "--tmpfs", "/run:uid=65534,gid=65534", "--volume", &volume]);
    run.extend(published.iter().flat_map(|published| ["--publish", published]));
    run.extend(labels.iter().flat_map(|label| ["--label", label]));
    run.extend([old["Config"]["Image"].as_str().unwrap(), "gate", "run", "--name", &gate]);
    cluster.docker(&run).await;
}

/// The labels of a gate of this cluster, but for the version.
fn gate_labels(cluster: &Cluster) -> [String; 5] {
    [
        format!("dev.portgate.cluster={}", cluster.name),
        "dev.portgate.provider=k3d".to_owned(),
        format!("dev.portgate.network={}", cluster.network()),
        "dev.portgate.placement=published".to_owned(),
        "dev.portgate.version=99.0.0".to_owned(),
    ]
}

#[tokio::test]
async fn a_gate_of_a_newer_version_is_not_touched() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    make_newer(&cluster, port).await;
    let commands = [
        format!("open {}:{ECHO}", free_port()),
        format!("open {port}:{ECHO}"),
        format!("close {port}"),
        "restart".to_owned(),
    ];
    let ours = env!("CARGO_PKG_VERSION");
    let gate = cluster.gate();
    let expected = format!(
        "error: gate {gate} runs portgate 99.0.0, which is newer than this one ({ours})\n\
         hint: upgrade this portgate; `portgate down` would remove the gate\n"
    );
    for command in &commands {
        assert_eq!(cluster.run(command).await.fails(1).stderr, expected, "{command}");
    }
    assert_eq!(cluster.gates().await, [gate]);
    tcp_echoes(local(port)).await;
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_newer_gate_whose_words_are_not_understood_is_named_as_newer() {
    let Some(cluster) = cluster().await else { return };
    let gate = cluster.gate();
    let (labels, volume) = (gate_labels(&cluster), format!("{gate}:/var/lib/portgate"));
    let mut run = vec!["run", "--detach", "--read-only", "--name", &gate, "--volume", &volume];
    run.extend(labels.iter().flat_map(|label| ["--label", label]));
    // A container that runs, and whose control, if it is one, speaks another language.
    run.extend([cluster.image(), "gate", "run", "--name", &gate]);
    cluster.docker(&run).await;
    for command in ["open 30999", "close 30999", "restart"] {
        let ran = cluster.run(command).await.fails(1);
        assert!(ran.stderr.contains("runs portgate 99.0.0, which is newer"), "{command}: {}", ran.stderr);
    }
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn a_newer_gate_that_was_never_started_is_named_as_newer() {
    let Some(cluster) = cluster().await else { return };
    let gate = cluster.gate();
    let (labels, volume) = (gate_labels(&cluster), format!("{gate}:/var/lib/portgate"));
    let mut create = vec!["create", "--read-only", "--name", &gate, "--volume", &volume];
    create.extend(labels.iter().flat_map(|label| ["--label", label]));
    create.extend([cluster.image(), "gate", "run", "--name", &gate]);
    cluster.docker(&create).await;
    for command in ["open 30999", "close 30999", "restart"] {
        let ran = cluster.run(command).await.fails(1);
        assert!(ran.stderr.contains("runs portgate 99.0.0, which is newer"), "{command}: {}", ran.stderr);
    }
    assert_eq!(cluster.gates().await, [gate]);
}
