//! What a gate's container may do: nothing but carry bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, cluster, free_port, within};

/// Docker looks after the health every 30 s, and for the first time after 30 s.
const FIRST_LOOK: Duration = Duration::from_secs(90);

/// A cluster with a gate, and how Docker describes the gate.
async fn gate() -> Option<(Cluster, Value, [u16; 2])> {
    let cluster = cluster().await?;
    let ports = [free_port(), free_port()];
    cluster.run(&format!("open {}:{ECHO} {}:{DATAGRAM_ECHO}/udp", ports[0], ports[1])).await.ok();
    let inspection = cluster.inspect(&cluster.gate()).await;
    Some((cluster, inspection, ports))
}

#[tokio::test]
async fn a_gate_has_no_privileges() {
    let Some((_cluster, gate, _)) = gate().await else { return };
    let host = &gate["HostConfig"];
    assert_eq!(host["CapDrop"], json!(["ALL"]));
    assert_eq!(host["CapAdd"], Value::Null);
    assert_eq!(host["Privileged"], false);
    assert_eq!(host["ReadonlyRootfs"], true);
    assert_eq!(host["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(gate["Config"]["User"], "65534:65534");
    assert_eq!((&host["PidMode"], &host["IpcMode"], &host["Devices"]), (&json!(""), &json!("private"), &Value::Null));
}

#[tokio::test]
async fn a_gates_process_has_no_user_of_the_host_and_no_capability() {
    let Some((_cluster, gate, _)) = gate().await else { return };
    let status = std::fs::read_to_string(format!("/proc/{}/status", gate["State"]["Pid"])).unwrap();
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        value.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(field("Uid:"), ["65534"; 4]);
    assert_eq!(field("Gid:"), ["65534"; 4]);
    for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(capabilities), ["0000000000000000"], "{capabilities}");
    }
    assert_eq!(field("NoNewPrivs:"), ["1"]);
    assert_eq!(field("Seccomp:"), ["2"]);
}

#[tokio::test]
async fn a_gate_sees_its_volume_and_no_docker_socket() {
    let Some((cluster, gate, _)) = gate().await else { return };
    let mounts = gate["Mounts"].as_array().unwrap();
    let kinds: Vec<_> = mounts.iter().map(|mount| (&mount["Type"], &mount["Name"], &mount["Destination"])).collect();
    let [(kind, name, destination)] = kinds[..] else { panic!("{mounts:?}") };
    assert_eq!(*kind, "volume");
    assert_eq!(*name, *cluster.gate());
    assert_eq!(*destination, "/var/lib/portgate");
    assert_eq!(gate["HostConfig"]["Binds"], Value::Null);
}

#[tokio::test]
async fn a_gate_is_published_on_loopback_only() {
    let Some((_cluster, gate, [tcp, udp])) = gate().await else { return };
    let published = gate["NetworkSettings"]["Ports"].as_object().unwrap();
    let mut expected = [format!("{tcp}/tcp"), format!("{udp}/udp")];
    expected.sort();
    assert_eq!(published.keys().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    for bindings in published.values() {
        let addresses = bindings.as_array().unwrap().iter().map(|binding| binding["HostIp"].as_str().unwrap());
        assert_eq!(addresses.collect::<BTreeSet<_>>(), BTreeSet::from(["127.0.0.1", "::1"]));
    }
}

#[tokio::test]
async fn a_gate_comes_back_with_docker_and_its_log_has_an_end() {
    let Some((_cluster, gate, _)) = gate().await else { return };
    assert_eq!(gate["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped");
    let log = json!({ "Type": "json-file", "Config": { "max-file": "3", "max-size": "10m" } });
    assert_eq!(gate["HostConfig"]["LogConfig"], log);
}

#[tokio::test]
async fn a_gates_image_is_small() {
    let Some((cluster, gate, _)) = gate().await else { return };
    let image = gate["Image"].as_str().unwrap();
    let size = cluster.docker(&["image", "inspect", "--format", "{{.Size}}", image]).await;
    println!("the image has {} bytes", size.trim());
    assert!(size.trim().parse::<u64>().unwrap() <= 20 << 20, "{size}");
}

#[tokio::test]
async fn a_gate_becomes_healthy() {
    let Some((cluster, gate, _)) = gate().await else { return };
    assert_eq!(gate["Config"]["Healthcheck"]["Test"], json!(["CMD", "/portgate", "gate", "health"]));
    cluster.docker(&["exec", &cluster.gate(), "/portgate", "gate", "health"]).await;
    let health = async || cluster.inspect(&cluster.gate()).await["State"]["Health"]["Status"].clone();
    let looked = within(FIRST_LOOK, async || Some(health().await).filter(|health| health != "starting"));
    assert_eq!(looked.await, Some(json!("healthy")));
}
