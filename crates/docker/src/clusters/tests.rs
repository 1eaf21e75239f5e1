//! `containers.json` is an engine's answer (20.10) to `GET /containers/json?all=1` with containers that carry the labels
//! and networks of k3d 5.8, kind and minikube, ids shortened.

use super::*;

fn containers() -> Vec<ContainerSummary> {
    serde_json::from_str(include_str!("containers.json")).unwrap()
}

fn cluster(name: &str) -> Cluster {
    from_containers(&containers()).into_iter().find(|cluster| cluster.id.name == name).unwrap()
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
    let clusters = from_containers(&containers());
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
    let clusters = from_containers(&serde_json::from_str::<Vec<_>>(container).unwrap());
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
