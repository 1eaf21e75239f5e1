//! State files that are damaged, and volumes that are full.

use std::path::Path;

use tempfile::TempDir;

use super::cluster;
use crate::client::tcp_echoes;
use crate::support::{Cluster, ECHO, free_port, local};

/// Where a gate's state file is, in its container.
fn state_path(cluster: &Cluster) -> String {
    format!("/var/lib/portgate/{}.json", cluster.gate())
}

/// Puts a file with this content into the gate's container.
async fn put(cluster: &Cluster, content: &str, path: &str) {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, content).unwrap();
    cluster.docker(&["cp", file.to_str().unwrap(), &format!("{}:{path}", cluster.gate())]).await;
}

#[tokio::test]
async fn a_damaged_state_is_told_with_its_file_and_the_way_out() {
    let Some(cluster) = cluster().await else { return };
    let (port, other) = (free_port(), free_port());
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    cluster.run("stop").await.ok();
    let path = state_path(&cluster);
    for (content, complaint) in [("{\"format\":1,", "it is damaged"), ("{\"format\":99}", "it has format 99")] {
        put(&cluster, content, &path).await;
        let place = format!("cannot use the state file {path} of container {}: {complaint}", cluster.gate());
        let listed = cluster.run("ls").await.ok();
        assert!(listed.stderr.starts_with(&format!("warning: {place}")), "{}", listed.stderr);
        assert!(!listed.stderr.contains("No port is open"), "{}", listed.stderr);
        for command in ["start", "restart", "test", "close --all", &format!("open {other}:{ECHO}")] {
            let refused = cluster.run(command).await.fails(1).stderr;
            assert!(refused.contains(&format!("error: {place}")), "{command}: {refused}");
            assert!(refused.contains("\nhint: ") && !refused.contains("`portgate start`"), "{command}: {refused}");
        }
    }
    put(&cluster, "nonsense", &path).await;
    assert!(cluster.run("ls").await.ok().stderr.contains("hint: `portgate down`"));
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    tcp_echoes(local(port)).await;
}

#[tokio::test]
async fn a_port_closes_though_the_gates_volume_is_full() {
    let Some(cluster) = cluster().await else { return };
    // Room for its own directory, the state file, and another file.
    let options = "o=size=1m,nr_inodes=3,mode=0777";
    let volume = cluster.gate();
    let label = format!("dev.portgate.cluster={}", cluster.name);
    let create = ["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", options, "--label", &label];
    cluster.docker(&[create.as_slice(), &["--label", "dev.portgate.provider=k3d", &volume]].concat()).await;
    // The engine forgets such a volume as soon as no container uses it.
    let holder = format!("{}-holder", cluster.name);
    let mount = format!("{volume}:/held");
    let label = format!("dev.portgate.demo={}", cluster.name);
    cluster.docker(&["run", "-d", "--name", &holder, "--label", &label, "-v", &mount, cluster.image(), "idle"]).await;

    let (first, second) = (free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO} {second}:{ECHO}")).await.ok();
    put(&cluster, "", Path::new(&state_path(&cluster)).with_file_name("full").to_str().unwrap()).await;
    if cluster.is_host() {
        let refused = cluster.run(&format!("open {}:{ECHO}", free_port())).await.fails(1).stderr;
        assert!(refused.contains("cannot save the gate's state") && refused.contains("hint: make room"), "{refused}");
    }
    let closed = cluster.run(&format!("close {first}")).await.ok().stderr;
    let warning = format!("warning: gate {} cannot save that localhost:{first}/tcp is closed: ", cluster.gate());
    assert!(closed.contains(&warning) && closed.contains("No space left on device"), "{closed}");
    tcp_echoes(local(second)).await;
    assert!(cluster.run("ls -o name").await.ok().stdout.starts_with(&format!("localhost:{second}/tcp\n")));

    // The last one takes the gate along; the volume stays for as long as somebody else uses it.
    cluster.run(&format!("close {second}")).await;
    assert!(cluster.gates().await.is_empty());
    cluster.docker(&["rm", "--force", &holder]).await;
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}
