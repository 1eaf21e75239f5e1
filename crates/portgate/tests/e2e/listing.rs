//! `portgate ls` and `portgate clusters`.

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::cluster;
use crate::client::{tcp_echoes, udp_echoes};
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, eventually, free_port, lines, local};

/// The mapping once it is in this state.
async fn in_state(cluster: &Cluster, port: u16, state: &str) -> Value {
    eventually(async || Some(cluster.mapping(port).await).filter(|mapping| mapping["state"] == state)).await
}

#[tokio::test]
async fn every_field_of_a_mapping_is_listed() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:{ECHO}")).await.ok();
    let mut mapping = in_state(&cluster, port, "open").await;
    let address = mapping["backends"][0]["address"].take();
    let node = cluster.inspect(&cluster.node("server-0")).await;
    let expected = node["NetworkSettings"]["Networks"][cluster.network()]["IPAddress"].as_str().unwrap();
    let why = mapping.as_object_mut().unwrap().remove("relay_because");
    let expected_why = (!cluster.is_host()).then(|| json!({ "reason": "not-asked" }));
    assert_eq!(why, expected_why);
    assert_eq!(address, format!("{expected}:{ECHO}"));
    let counters = [
        "connections_open",
        "connections_total",
        "connections_failed",
        "bytes_in",
        "bytes_out",
        "datagrams_in",
        "datagrams_out",
        "datagrams_dropped",
        "sessions_open",
        "sessions_total",
        "sessions_evicted",
        "sessions_refused",
    ];
    let mut counters: Value = counters.iter().map(|name| ((*name).to_owned(), json!(0))).collect();
    counters["last_error"] = Value::Null;
    assert_eq!(
        mapping,
        json!({
            "cluster": { "provider": "k3d", "name": cluster.name },
            "gate": cluster.gate(),
            "placement": if cluster.is_host() { "host" } else { "published" },
            "local": { "addresses": ["127.0.0.1", "::1"], "port": port, "protocol": "tcp" },
            "target": { "kind": "nodeport", "port": ECHO },
            "backends": [{ "node": cluster.node("server-0"), "address": null, "reach": "node" }],
            "datapath": cluster.datapath(),
            "state": "open",
            "counters": counters,
        })
    );
}

/// Which of a mapping's counters have grown, and by how much.
fn growth(before: &Value, now: &Value) -> Vec<(String, u64)> {
    let counters = now["counters"].as_object().unwrap().iter();
    let grown = counters.filter_map(|(name, now)| {
        let grown = now.as_u64()? - before["counters"][name].as_u64()?;
        (grown > 0).then(|| (name.clone(), grown))
    });
    grown.collect()
}

/// Waits until exactly these counters have grown.
async fn have_grown(cluster: &Cluster, before: &Value, expected: &[(&str, u64)]) {
    let port = u16::try_from(before["local"]["port"].as_u64().unwrap()).unwrap();
    let expected: Vec<_> = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let mut grown = Vec::new();
    let counted = crate::support::within(crate::support::LONG, async || {
        grown = growth(before, &cluster.mapping(port).await);
        (grown == expected).then_some(())
    });
    let counted = counted.await;
    assert!(counted.is_some(), "{grown:?}");
}

#[tokio::test]
async fn counters_count_exactly() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    let settled = async || Some(cluster.mapping(tcp).await).filter(|now| now["counters"]["connections_open"] == 0);
    let (tcp_before, udp_before) = (eventually(settled).await, cluster.mapping(udp).await);

    tcp_echoes(local(tcp)).await;
    let payload = 9;
    let expected = [("bytes_in", payload), ("bytes_out", payload), ("connections_total", 1)];
    have_grown(&cluster, &tcp_before, &expected).await;
    udp_echoes(local(udp)).await;
    let expected = [
        ("bytes_in", 9),
        ("bytes_out", 9),
        ("datagrams_in", 1),
        ("datagrams_out", 1),
        ("sessions_open", 1),
        ("sessions_total", 1),
    ];
    have_grown(&cluster, &udp_before, &expected).await;
}

#[tokio::test]
async fn a_connection_is_counted_as_open_until_it_ends() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    let open = async || cluster.mapping(port).await["counters"]["connections_open"].clone();
    eventually(async || (open().await == 0).then_some(())).await;
    let talk = crate::client::Talk::start(local(port)).await;
    assert_eq!(open().await, 1);
    drop(talk);
    eventually(async || (open().await == 0).then_some(())).await;
}

#[tokio::test]
async fn every_format_lists_the_same_mappings() {
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp) = (free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    let listed = async |format: &str| cluster.run(&format!("ls -o {format}")).await.ok().stdout;
    let mut names = [format!("localhost:{tcp}/tcp"), format!("localhost:{udp}/udp")];
    names.sort();

    assert_eq!(lines(&listed("name").await), names);
    let table = listed("table").await;
    assert!(table.starts_with("CLUSTER   "), "{table}");
    assert_eq!(table.lines().count(), 3, "{table}");
    assert!(names.iter().all(|name| table.contains(name)), "{table}");
    let wide = listed("wide").await;
    let titles: Vec<&str> = wide.lines().next().unwrap().split("  ").map(str::trim).collect();
    assert!(["TOTAL", "GATE", "PLACEMENT", "LAST ERROR"].iter().all(|title| titles.contains(title)), "{wide}");
    let yaml = listed("yaml").await;
    assert!(yaml.starts_with("items:\n"), "{yaml}");
    assert!(yaml.contains(&format!("port: {tcp}\n")) && yaml.contains("state: open\n"), "{yaml}");
    assert!(!table.contains('\u{1b}') && !yaml.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test]
async fn nothing_open_is_an_empty_list_and_a_note() {
    let Some(cluster) = cluster().await else { return };
    let listed = cluster.run("ls -o json").await.ok();
    assert_eq!(listed.json(), json!({ "items": [] }));
    assert_eq!(listed.stderr, "No port is open. Open one with `portgate open PORT`.\n");
}

#[tokio::test]
async fn the_ports_of_a_stopped_gate_are_listed_as_stopped() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    cluster.run("stop").await.ok();
    let mapping = cluster.mapping(port).await;
    assert_eq!(mapping["state"], "stopped");
    assert_eq!(mapping["target"]["port"], ECHO);
    assert_eq!(mapping["gate"], cluster.gate());
    let table = cluster.run("ls").await.ok().stdout;
    assert!(table.contains("gate stopped"), "{table}");
}

#[tokio::test]
async fn the_ports_of_a_stopped_node_have_no_backend_and_a_reason() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    cluster.docker(&["kill", &cluster.node("server-0")]).await;
    // It is looked at when somebody wants to use it.
    drop(TcpStream::connect(local(port)).await);
    let mapping = in_state(&cluster, port, "no-backend").await;
    assert_eq!(mapping["reason"], "cluster-stopped");
    assert_eq!(mapping["backends"], json!([]));
    let table = cluster.run("ls").await.ok().stdout;
    assert!(table.contains("cluster stopped"), "{table}");
    let tested = cluster.run(&format!("test {port}")).await.fails(1);
    assert!(tested.stdout.contains("broken: cluster stopped"), "{}", tested.stdout);
}

#[tokio::test]
async fn the_first_listing_after_a_node_stopped_says_so() {
    let Some(cluster) = cluster().await else { return };
    let port = free_port();
    // No traffic, which would make the gate look.
    cluster.run(&format!("open --no-wait {port}:{ECHO}")).await.ok();
    cluster.docker(&["kill", &cluster.node("server-0")]).await;
    in_state(&cluster, port, "no-backend").await;
}

/// The one cluster of this name that `portgate clusters` lists.
async fn listed_cluster(cluster: &Cluster) -> Value {
    let list = cluster.run("clusters -o json").await.ok().json();
    let mut found: Vec<Value> = list["items"].as_array().unwrap().clone();
    found.retain(|item| item["name"] == *cluster.name);
    assert_eq!(found.len(), 1, "{list:#}");
    found.remove(0)
}

#[tokio::test]
async fn clusters_are_listed_with_their_nodes_addresses_and_states() {
    let Some(cluster) = cluster().await else { return };
    cluster.add_idle_node("agent-0", "agent").await;
    cluster.add_idle_node("serverlb", "loadbalancer").await;
    cluster.docker(&["kill", &cluster.node("agent-0")]).await;
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    let inspection = cluster.inspect(&cluster.node("server-0")).await;
    let address = &inspection["NetworkSettings"]["Networks"][cluster.network()]["IPAddress"];
    let mut listed = listed_cluster(&cluster).await;
    // A stopped container's address, if any, means nothing.
    listed["nodes"][1]["address"].take();
    let agent = json!({ "name": cluster.node("agent-0"), "role": "agent", "state": "stopped", "address": null });
    let server = json!({ "name": cluster.node("server-0"), "role": "server", "state": "running", "address": address });
    assert_eq!(listed["provider"], "k3d");
    assert_eq!(listed["network"], cluster.network());
    assert_eq!(listed["nodes"], json!([server, agent]));
    let table = cluster.run("clusters").await.ok().stdout;
    assert!(table.lines().any(|line| line.contains(&cluster.node("server-0")) && line.ends_with("running")));
    assert!(lines(&cluster.run("clusters -o name").await.ok().stdout).contains(&cluster.name));
}

#[tokio::test]
async fn labels_of_a_container_cannot_reach_the_terminal() {
    let Some(cluster) = cluster().await else { return };
    let network = cluster.network();
    let hostile = format!("{}\u{1b}]0;title\u{7}\u{1b}[2J\r\nerror: forged\u{202e}", cluster.name);
    let labels = [
        "app=k3d",
        "k3d.role=server",
        &format!("k3d.cluster={hostile}"),
        &format!("dev.portgate.demo={}", cluster.name),
    ];
    let mut start = vec!["run", "--detach", "--network", &network];
    start.extend(labels.iter().flat_map(|label| ["--label", label]));
    start.extend([cluster.image(), "idle"]);
    cluster.docker(&start).await;
    let is_shown =
        |text: &str| text.chars().all(|character| character == '\n' || portgate_core::escape::is_safe(character));
    for format in ["table", "wide", "name", "json", "yaml"] {
        let listed = cluster.run(&format!("clusters -o {format}")).await.ok();
        assert!(is_shown(&listed.stdout) && is_shown(&listed.stderr), "{format}: {listed:?}");
        assert!(!listed.stdout.lines().any(|line| line.starts_with("error:")), "{format}: {listed:?}");
    }
    let refused = cluster.run("open 1 --cluster nonesuch").await.fails(1).stderr;
    assert!(is_shown(&refused) && refused.lines().count() == 2, "{refused:?}");
}

#[tokio::test]
async fn dockers_own_list_of_the_clusters_containers_shows_the_gate() {
    let Some(cluster) = cluster().await else { return };
    cluster.run(&format!("open {}:{ECHO}", free_port())).await.ok();
    let label = format!("label=k3d.cluster={}", cluster.name);
    let listed = cluster.docker(&["ps", "--filter", &label, "--format", "{{.Names}}"]).await;
    let mut listed = lines(&listed);
    listed.sort();
    assert_eq!(listed, [cluster.gate(), cluster.node("server-0")]);
}
