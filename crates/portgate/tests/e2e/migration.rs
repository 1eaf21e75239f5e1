//! `portgate migrate`: ports that move to another placement or datapath.

use jiff::Timestamp;
use serde_json::Value;

use crate::client::{Talk, tcp_echoes, udp_echoes};
use crate::flows::{ConnectionReport, Connections};
use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, OTHER_ECHO, cluster, free_port, host_cluster, local, turn};

/// Where each of a cluster's ports is, and how its bytes travel.
async fn sites(cluster: &Cluster) -> Vec<(Value, Value)> {
    let list = cluster.run("ls -o json").await.ok().json();
    let mut sites: Vec<_> = list["items"].as_array().unwrap().clone();
    sites.iter_mut().map(|item| (item["placement"].take(), item["datapath"].take())).collect()
}

/// The longest time without a connection that succeeded.
fn longest_gap(report: &ConnectionReport) -> std::time::Duration {
    let good: Vec<Timestamp> =
        report.0.iter().filter(|attempt| attempt.outcome.is_ok()).map(|attempt| attempt.began + attempt.took).collect();
    let gaps = good.windows(2).map(|pair| std::time::Duration::try_from(pair[1].duration_since(pair[0])));
    gaps.map(Result::unwrap_or_default).max().unwrap()
}

#[tokio::test]
async fn ports_move_to_the_hosts_network_and_back() {
    let _turn = turn().await;
    let Some(cluster) = cluster().await else { return };
    let (tcp, udp, further) = (free_port(), free_port(), free_port());
    cluster.run(&format!("open {tcp}:{ECHO} {udp}:{DATAGRAM_ECHO}/udp")).await.ok();
    cluster.run(&format!("open {further}:{OTHER_ECHO}")).await.ok();
    let old = cluster.gates().await;
    assert_eq!(old.len(), 2);

    let planned = cluster.run("migrate --dry-run --placement host").await.ok();
    assert!(old.iter().all(|gate| planned.stdout.contains(gate)), "{}", planned.stdout);
    assert_eq!(cluster.gates().await, old);

    for (placement, datapath, gates) in [("host", "kernel", 1), ("published", "relay", 1)] {
        let mut flow = Connections::start(local(tcp));
        flow.works().await;
        let moved = cluster.run(&format!("migrate --placement {placement}")).await.ok();
        flow.works().await;
        let report = flow.stop().await;
        println!(
            "to {placement} in {:?}; {} connections failed, none for {:?}",
            moved.elapsed,
            report.failures().len(),
            longest_gap(&report)
        );
        assert!(longest_gap(&report).as_secs() < 10, "{:?}", longest_gap(&report));
        assert!(moved.stderr.contains(&format!("3 ports moved to {placement} placement")), "{}", moved.stderr);
        let expected = (Value::from(placement), Value::from(datapath));
        assert_eq!(sites(&cluster).await, vec![expected; 3]);
        tcp_echoes(local(tcp)).await;
        udp_echoes(local(udp)).await;
        tcp_echoes(local(further)).await;
        assert!(cluster.gates().await.len() >= gates);
        if placement == "host" {
            assert_eq!(cluster.gates().await.len(), 1, "{:?}", cluster.gates().await);
        }
    }
    cluster.run("down").await.ok();
    cluster.is_untouched().await;
}

#[tokio::test]
async fn ports_that_are_there_already_stay_as_they_are() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    let mut talk = Talk::start(local(port)).await;
    for dry in ["", " --dry-run"] {
        let ran = cluster.run(&format!("migrate{dry}")).await.ok();
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("The ports are in host placement, with the kernel datapath."), "{}", ran.stderr);
    }
    talk.goes_on().await;
}

#[tokio::test]
async fn ports_move_to_another_datapath_of_the_same_placement() {
    let Some(cluster) = host_cluster().await else { return };
    let port = free_port();
    cluster.run(&format!("open {port}:{ECHO}")).await.ok();
    for datapath in ["relay", "kernel"] {
        let moved = cluster.run(&format!("migrate --datapath {datapath}")).await.ok();
        println!("to the {datapath} in {:?}", moved.elapsed);
        assert_eq!(sites(&cluster).await, [(Value::from("host"), Value::from(datapath))]);
        tcp_echoes(local(port)).await;
    }
    assert_eq!(cluster.gates().await, [cluster.gate()]);
}

#[tokio::test]
async fn there_is_nothing_to_move_where_nothing_is_open() {
    let Some(cluster) = host_cluster().await else { return };
    let ran = cluster.run("migrate").await.fails(1);
    assert!(ran.stderr.contains("error: no port is open on cluster"), "{}", ran.stderr);
}
