//! An image whose labels say what it is not, run without privileges beside a cluster.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::client::tcp_echoes;
use crate::support::{Cluster, ECHO, cluster, free_port, host_cluster, lines, local};

/// A container of a hostile image. It goes with the test.
struct Hostile {
    /// The name of the container and of its image.
    name: String,
    /// Its id and the time of its start.
    identity: [Value; 2],
}

impl Hostile {
    /// Runs an image with these labels as a user would who knows nothing of it, on a network of his choice.
    async fn run(cluster: &Cluster, part: &str, labels: &[String], network: &str) -> Self {
        let name = format!("{}-{part}", cluster.name);
        // The program of the nodes: it serves their ports, and does so under a gate's command, too.
        let changes = [
            r#"ENTRYPOINT ["/portgate"]"#.to_owned(),
            format!(r#"CMD ["gate", "run", "--name", "{}"]"#, cluster.gate()),
            "VOLUME /var/lib/portgate".to_owned(),
        ];
        let changes = changes.into_iter().chain(labels.iter().map(|label| format!("LABEL {label}")));
        let changes: Vec<String> = changes.flat_map(|change| ["--change".to_owned(), change]).collect();
        let directory = tempfile::tempdir().unwrap();
        let archive = directory.path().join("files.tar");
        let archive = archive.to_str().unwrap();
        cluster.docker(&["create", "--name", &name, cluster.image()]).await;
        cluster.docker(&["export", "--output", archive, &name]).await;
        cluster.docker(&["rm", &name]).await;
        let mut import = vec!["import"];
        import.extend(changes.iter().map(String::as_str));
        import.extend([archive, &name]);
        cluster.docker(&import).await;
        cluster.docker(&["run", "--detach", "--name", &name, "--network", network, &name]).await;
        let identity = identity(cluster, &name).await;
        Self { name, identity }
    }

    /// The same container runs as at first.
    async fn is_untouched(&self, cluster: &Cluster) {
        assert_eq!(identity(cluster, &self.name).await, self.identity);
    }
}

async fn identity(cluster: &Cluster, container: &str) -> [Value; 2] {
    let now = cluster.inspect(container).await;
    assert_eq!(now["State"]["Running"], true);
    [now["Id"].clone(), now["State"]["StartedAt"].clone()]
}

impl Drop for Hostile {
    fn drop(&mut self) {
        for arguments in [["rm", "--force", "--volumes", &self.name], ["rmi", "--force", "--no-prune", &self.name]] {
            let _ = Command::new("docker").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

fn node_labels(cluster: &Cluster) -> Vec<String> {
    vec![
        "app=k3d".to_owned(),
        format!("k3d.cluster={}", cluster.name),
        format!("k3d.cluster.network={}", cluster.network()),
        "k3d.role=server".to_owned(),
        // What removes a demonstration removes the cluster of a test, too.
        format!("dev.portgate.demo={}", cluster.name),
    ]
}

fn gate_labels(cluster: &Cluster) -> Vec<String> {
    let mut labels = node_labels(cluster);
    labels.extend([
        format!("dev.portgate.cluster={}", cluster.name),
        "dev.portgate.provider=k3d".to_owned(),
        format!("dev.portgate.network={}", cluster.network()),
        format!("dev.portgate.placement={}", if cluster.is_host() { "host" } else { "published" }),
        "dev.portgate.version=0.0.1".to_owned(),
        format!("dev.portgate.sweep={}", cluster.name),
    ]);
    labels
}

/// What portgate shows of a cluster, except for traffic.
async fn shown(cluster: &Cluster) -> Vec<Value> {
    let clusters = cluster.run("clusters -o json").await.ok().json();
    let is_meant = |item: &&Value| item["name"] == *cluster.name;
    let mut shown: Vec<Value> = clusters["items"].as_array().unwrap().iter().filter(is_meant).cloned().collect();
    let mut list = cluster.run("ls -o json").await.ok().json();
    for item in list["items"].as_array_mut().unwrap() {
        item["counters"].take();
        shown.push(item.take());
    }
    shown.push(json!(cluster.gates().await));
    shown.push(json!(lines(&cluster.run("ls").await.ok().stderr)));
    shown
}

async fn changes_nothing(cluster: Cluster) {
    let (first, second) = (free_port(), free_port());
    cluster.run(&format!("open {first}:{ECHO}")).await.ok();
    let before = shown(&cluster).await;

    let node = Hostile::run(&cluster, "fake-node", &node_labels(&cluster), &cluster.network()).await;
    let stray = Hostile::run(&cluster, "fake-stray", &node_labels(&cluster), "bridge").await;
    let gate = Hostile::run(&cluster, "fake-gate", &gate_labels(&cluster), &cluster.network()).await;
    let hostile = [&node, &stray, &gate];
    assert_eq!(shown(&cluster).await, before);

    let listed = cluster.run("clusters").await.ok();
    let mut said = lines(&listed.stderr);
    said.retain(|line| line.contains(&cluster.name));
    let line = |hostile: &Hostile, what: &str, label: &str| {
        format!(
            "warning: container {} is not believed to be a {what} of cluster k3d/{}: its label {label} comes from its image",
            hostile.name, cluster.name
        )
    };
    let expected = [
        line(&gate, "gate", "dev.portgate.cluster"),
        line(&node, "node", "k3d.cluster"),
        line(&stray, "node", "k3d.cluster"),
    ];
    assert_eq!(said, expected);
    assert!(!listed.stdout.contains("fake"), "{}", listed.stdout);
    let document = cluster.run("clusters -o json").await.ok().json();
    let rejected = document["rejected"].as_array().unwrap().iter();
    let mut claims: Vec<&Value> =
        rejected.filter(|it| it["cluster"]["name"] == *cluster.name).map(|it| &it["claim"]).collect();
    claims.sort_by_key(ToString::to_string);
    assert_eq!(claims, ["gate", "node", "node"]);

    cluster.run(&format!("open {second}:{ECHO}")).await.ok();
    let backends = cluster.mapping(second).await["backends"].clone();
    assert_eq!(backends.as_array().unwrap().len(), 1, "{backends}");
    assert_eq!(backends[0]["node"], cluster.node("server-0"));
    cluster.run("restart").await.ok();
    for port in [first, second] {
        tcp_echoes(local(port)).await;
    }
    cluster.run(&format!("test {first}")).await.ok();
    cluster.run(&format!("close {second}")).await.ok();
    cluster.run("stop").await.ok();
    cluster.run("start").await.ok();
    cluster.engine.remove_demo("another").await.unwrap();
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
    for hostile in hostile {
        hostile.is_untouched(&cluster).await;
    }
    // A demonstration's end takes what was made for it, and no container whose image says so.
    cluster.engine.remove_demo(&cluster.name).await.unwrap_err();
    for hostile in hostile {
        hostile.is_untouched(&cluster).await;
    }
}

#[tokio::test]
async fn a_hostile_image_changes_nothing_but_one_line() {
    let Some(cluster) = host_cluster().await else { return };
    changes_nothing(cluster).await;
}

#[tokio::test]
async fn a_hostile_image_changes_nothing_in_published_placement() {
    let Some(cluster) = cluster().await else { return };
    changes_nothing(cluster).await;
}
