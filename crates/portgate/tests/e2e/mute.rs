//! A gate that does not answer.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Cluster, ECHO, eventually, finish, free_port, host_cluster};

/// How long a listing may take of which one row needs 1 s. Two cores are shared with other tests.
const LATE: Duration = Duration::from_secs(5);

/// The state of the mapping of this port, in a listing of all clusters, and how long that took.
async fn listed(cluster: &Cluster, port: u16) -> (Value, Duration) {
    let mut command = cluster.command(&["ls", "-o", "json"]);
    command.env_remove("PORTGATE_CLUSTER");
    let ran = finish(command).await.ok();
    let list = ran.json();
    let items = list["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["local"]["port"] == port);
    (found.unwrap_or_else(|| panic!("{list:#}")).clone(), ran.elapsed)
}

#[tokio::test]
async fn a_mute_gate_delays_no_other() {
    let Some((cluster, mute)) = host_cluster().await.zip(host_cluster().await) else { return };
    let (port, silent) = (free_port(), free_port());
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    mute.run(&format!("open {silent}:{ECHO}")).await.ok();
    mute.docker(&["kill", "--signal", "STOP", &mute.gate()]).await;

    let (row, elapsed) = listed(&cluster, silent).await;
    assert_eq!(row["state"], "unknown");
    assert_eq!(row["message"], "the gate did not answer within 1 s");
    assert!(elapsed < LATE, "{elapsed:?}");
    assert_eq!(listed(&cluster, port).await.0["state"], "open");

    mute.docker(&["kill", "--signal", "CONT", &mute.gate()]).await;
    eventually(async || (listed(&mute, silent).await.0["state"] == "open").then_some(())).await;
}
