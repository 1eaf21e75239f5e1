//! `containers.json` is an engine's answer (20.10) to `GET /containers/json?all=1` with containers that carry the labels
//! and networks of k3d 5.8, kind and minikube, ids shortened.

use super::*;

fn containers() -> Vec<ContainerSummary> {
    serde_json::from_str(include_str!("containers.json")).unwrap()
}

fn cluster(name: &str) -> Cluster {
    from_containers(&containers()).0.into_iter().find(|cluster| cluster.id.name == name).unwrap()
}

/// One line for each node.
fn lines(cluster: &Cluster) -> Vec<String> {
    let line = |node: &Node| {
        let address = node.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        format!("{} {} {} {address}", node.name, node.role, node.state)
    };
    cluster.nodes.iter().map(line).collect()
}

#[test]
fn each_provider_has_its_clusters() {
    let (clusters, rejections) = from_containers(&containers());
    assert_eq!(rejections, []);
    let found: Vec<String> =
        clusters.iter().map(|cluster| format!("{} {} {}", cluster.id.provider, cluster.id, cluster.network)).collect();
    assert_eq!(found, ["kind dev kind", "kind kind kind", "minikube minikube minikube", "k3d mycluster k3d-mycluster"]);
}

#[test]
fn k3d_nodes_are_servers_before_agents_in_natural_order() {
    let cluster = cluster("mycluster");
    let expected = [
        "k3d-mycluster-server-0 server running 172.19.0.4",
        "k3d-mycluster-server-2 server running 172.19.0.3",
        "k3d-mycluster-server-10 server running 172.19.0.2",
        "k3d-mycluster-agent-0 agent running 172.19.0.5",
        "k3d-mycluster-agent-1 agent stopped -",
        "k3d-mycluster-agent-2 agent paused 172.19.0.6",
    ];
    assert_eq!(lines(&cluster), expected);
}

#[test]
fn kind_clusters_share_a_network() {
    let dev = cluster("dev");
    assert_eq!(lines(&dev), ["dev-control-plane server running 172.20.0.4", "dev-worker agent running 172.20.0.5"]);
    assert_eq!(cluster("kind").nodes.len(), 2);
}

#[test]
fn minikube_nodes_belong_to_their_network() {
    let expected = ["minikube server running 172.21.0.2", "minikube-m02 agent running 172.21.0.3"];
    assert_eq!(lines(&cluster("minikube")), expected);
}

#[test]
fn a_plain_network_has_its_running_containers_for_nodes() {
    let other = on_network("other", &containers());
    let names: Vec<&str> = other.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["dev-control-plane", "k3d-mycluster-agent-0"]);
    assert_eq!(other.nodes[0].role, Role::Container);
}

#[test]
fn load_balancers_and_registries_can_be_named_but_gates_cannot() {
    let nodes = on_network("k3d-mycluster", &containers()).nodes;
    let has = |name: &str| nodes.iter().any(|node| node.name == name);
    assert!(has("k3d-mycluster-serverlb"));
    assert!(has("k3d-registry.localhost"));
    assert!(!has("k3d-mycluster-portgate"));
}

#[test]
fn k3d_may_use_any_network_and_address_family() {
    let container = r#"[{
        "Names": ["/k3d-six-server-0", "/other/alias"], "State": "running",
        "Labels": { "app": "k3d", "k3d.cluster": "six", "k3d.role": "server" },
        "HostConfig": { "NetworkMode": "lan" },
        "NetworkSettings": { "Networks": {
            "another": { "IPAddress": "10.9.9.9" },
            "lan": { "IPAddress": "", "GlobalIPv6Address": "fd00::2" } } }
    }]"#;
    let (clusters, _) = from_containers(&serde_json::from_str::<Vec<_>>(container).unwrap());
    assert_eq!(clusters[0].network, "lan");
    assert_eq!(lines(&clusters[0]), ["k3d-six-server-0 server running fd00::2"]);
}

#[test]
fn an_unknown_network_comes_with_a_guess_and_the_list() {
    let known = ["bridge", "k3d-mycluster", "kind"].map(str::to_owned).to_vec();
    let error = Error::UnknownNetwork { name: "k3d-mycluser".to_owned(), known };
    assert_eq!(error.to_string(), "there is no Docker network named k3d-mycluser");
    let hint = "did you mean k3d-mycluster? networks are: bridge, k3d-mycluster, kind";
    assert_eq!(error.hint().as_deref(), Some(hint));
}

#[test]
fn addresses_are_those_of_running_containers_that_are_no_gates() {
    let found = addresses_on("k3d-mycluster", &containers());
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let expected = [
        "k3d-mycluster-agent-0",
        "k3d-mycluster-server-0",
        "k3d-mycluster-server-10",
        "k3d-mycluster-server-2",
        "k3d-mycluster-serverlb",
        "k3d-mycluster-tools",
        "k3d-registry.localhost",
    ];
    assert_eq!(names, expected);
    assert_eq!(found["k3d-mycluster-agent-0"], ["172.19.0.5".parse::<IpAddr>().unwrap()]);
}

#[test]
fn addresses_are_ipv4_before_ipv6() {
    let container = r#"[{ "Names": ["/both"], "State": "running", "NetworkSettings": { "Networks": {
        "lan": { "IPAddress": "10.0.0.2", "GlobalIPv6Address": "fd00::2" } } } }]"#;
    let found = addresses_on("lan", &serde_json::from_str::<Vec<_>>(container).unwrap());
    assert_eq!(found["both"], ["10.0.0.2", "fd00::2"].map(|address| address.parse::<IpAddr>().unwrap()));
}

/// A container of k3d cluster `my`, on a network.
fn member(name: &str, role: &str, created: i64, claimed: &str, network: &str) -> ContainerSummary {
    serde_json::from_value(serde_json::json!({
        "Id": name, "Names": [format!("/{name}")], "State": "running", "Created": created,
        "Labels": { "k3d.cluster": "my", "k3d.role": role, "k3d.cluster.network": claimed },
        "HostConfig": { "NetworkMode": network },
        "NetworkSettings": { "Networks": { network: { "IPAddress": "172.19.0.2" } } },
    }))
    .unwrap()
}

/// The network, the nodes and what was rejected.
fn formed(containers: &[ContainerSummary]) -> (String, Vec<String>, Vec<String>) {
    let (clusters, rejections) = from_containers(containers);
    let names = |cluster: &Cluster| cluster.nodes.iter().map(|node| node.name.clone()).collect();
    (clusters[0].network.clone(), names(&clusters[0]), rejections.iter().map(ToString::to_string).collect())
}

#[test]
fn a_node_is_on_the_network_of_its_clusters_oldest_server() {
    let server = member("server", "server", 10, "k3d-my", "k3d-my");
    let agent = member("agent", "agent", 5, "k3d-my", "k3d-my");
    let expected = "container stray is not believed to be a node of cluster k3d/my: \
                    it is not on the cluster's network, k3d-my";
    for (role, claimed) in [("agent", "k3d-my"), ("server", "k3d-my"), ("server", "bridge"), ("agent", "bridge")] {
        let stray = member("stray", role, 20, claimed, "bridge");
        let (network, nodes, rejections) = formed(&[stray, server.clone(), agent.clone()]);
        assert_eq!(network, "k3d-my");
        assert_eq!(nodes, ["server", "agent"]);
        assert_eq!(rejections, [expected]);
    }
    // One that is older, and is not where it says that the cluster is.
    let liar = member("liar", "server", 1, "elsewhere", "bridge");
    assert_eq!(formed(&[liar, server]).0, "k3d-my");
}

#[test]
fn a_cluster_stays_while_its_node_has_left_the_network() {
    let mut server = member("server", "server", 10, "k3d-my", "k3d-my");
    server.network_settings.as_mut().unwrap().networks = Some(HashMap::new());
    let (network, nodes, rejections) = formed(&[server.clone()]);
    assert_eq!((network.as_str(), nodes.len(), rejections.len()), ("k3d-my", 0, 1));
    server.labels.as_mut().unwrap().remove("k3d.cluster.network");
    assert_eq!(formed(&[server]).0, "k3d-my");
}

#[test]
fn a_name_that_leads_out_of_a_directory_is_no_clusters() {
    for name in ["../../etc", "", "a/b", "a\u{1b}]0;b", ".hidden", &"n".repeat(254)] {
        let mut server = member("server", "server", 10, "k3d-my", "k3d-my");
        server.labels.as_mut().unwrap().insert("k3d.cluster".to_owned(), name.to_owned());
        let (clusters, rejections) = from_containers(&[server]);
        assert_eq!((clusters.len(), rejections[0].reason.clone()), (0, Reason::ClusterName), "{name:?}");
    }
}
