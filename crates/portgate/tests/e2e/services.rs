//! Services, pods and workloads as targets, through the real program, a real engine and the double of an API server.

use portgate_double::object::{deployment, endpoint_slice, pod, service};

use super::cluster;
use crate::client::{tcp_echoes, udp_echoes};
use crate::kubernetes::{BOTH_PROTOCOLS, INNER, INTERNAL, NAMESPACE, PODS};
use crate::support::{ECHO, OTHER_ECHO, free_port, lines, local};

#[tokio::test]
async fn a_service_is_opened_by_its_name_and_its_ports_names() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    let (tcp, udp) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {tcp}:svc/shop.backend:tcp {udp}:svc/shop:udp -n backend")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 2, "{}", opened.stdout);
    tcp_echoes(local(tcp)).await;
    udp_echoes(local(udp)).await;
    let mapping = cluster.mapping(tcp).await;
    assert_eq!(mapping["target"]["object"]["name"], "shop", "{mapping:#}");
    let backends = mapping["backends"].as_array().unwrap();
    assert_eq!(backends.len(), 2, "{mapping:#}");
    assert!(backends.iter().all(|backend| backend["reach"] == "node"), "{mapping:#}");
}

#[tokio::test]
async fn a_service_without_a_node_port_is_reached_by_a_route() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.apply(service("inner", NAMESPACE).at(INTERNAL).port("tcp", INNER)).await;
    kubernetes.lead("inner", PODS[0], 0).await;
    kubernetes.apply(service("both", NAMESPACE).at(BOTH_PROTOCOLS).port("tcp", INNER).udp_port("udp", INNER)).await;
    kubernetes.lead("both", PODS[0], 0).await;
    let (inner, both) = (free_port(), free_port());
    let opened = cluster.run(&format!("open {inner}:svc/inner.backend {both}:svc/both.backend")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 3, "{}{}", opened.stdout, opened.stderr);
    assert_eq!(opened.stderr.contains("NET_ADMIN"), !cluster.is_host(), "{}", opened.stderr);
    tcp_echoes(local(inner)).await;
    tcp_echoes(local(both)).await;
    udp_echoes(local(both)).await;
    let backend = cluster.mapping(inner).await["backends"][0].take();
    assert_eq!(backend["address"], format!("{INTERNAL}:{INNER}"), "{backend}");
    assert_eq!(backend["via"], kubernetes.address(0).to_string(), "{backend}");
}

#[tokio::test]
async fn headless_services_pods_and_workloads_are_reached_at_their_pods() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.apply(service("headless", NAMESPACE).headless().port("tcp", INNER)).await;
    kubernetes.lead("headless", PODS[1], 1).await;
    kubernetes.apply(deployment("web", NAMESPACE).selecting("app", "web")).await;
    let (node, address) = (kubernetes.node(0), kubernetes.address(0).to_string());
    kubernetes
        .apply(pod("web-1", NAMESPACE).label("app", "web").on(node, &address).at(PODS[0]).port("echo", INNER))
        .await;
    let (headless, workload, alone) = (free_port(), free_port(), free_port());
    let ports = format!("{headless}:svc/headless {workload}:deploy/web:echo {alone}:pod/web-1:{INNER}/tcp+udp");
    let opened = cluster.run(&format!("open -n backend {ports}")).await.ok();
    assert_eq!(opened.stdout.matches(" ok: ").count(), 4, "{}", opened.stdout);
    for port in [headless, workload, alone] {
        tcp_echoes(local(port)).await;
    }
    udp_echoes(local(alone)).await;
    // Through the node that it is on.
    let backend = cluster.mapping(headless).await["backends"][0].take();
    assert_eq!(backend["via"], kubernetes.address(1).to_string(), "{backend}");
}

#[tokio::test]
async fn a_load_balancer_without_node_ports_is_reached_at_its_node() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    let address = kubernetes.address(1).to_string();
    kubernetes.apply(service("lb", NAMESPACE).at("10.43.99.9").port("tcp", OTHER_ECHO).load_balancer(&address)).await;
    kubernetes.lead("lb", PODS[0], 0).await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/lb.backend")).await.ok();
    tcp_echoes(local(port)).await;
    let backends = cluster.mapping(port).await["backends"].take();
    assert_eq!(backends.as_array().unwrap().len(), 1);
    assert_eq!(backends[0]["address"], format!("{address}:{OTHER_ECHO}"), "{backends}");
}

#[tokio::test]
async fn a_service_that_stays_local_is_reached_only_at_the_nodes_of_its_pods() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    let mut local_only: serde_json::Value =
        service("near", NAMESPACE).at("10.43.99.2").port("tcp", INNER).node_port(ECHO).into();
    local_only["spec"]["externalTrafficPolicy"] = "Local".into();
    kubernetes.apply(local_only).await;
    kubernetes.lead("near", PODS[1], 1).await;
    let port = free_port();
    cluster.run(&format!("open {port}:svc/near.backend")).await.ok();
    tcp_echoes(local(port)).await;
    let backends = cluster.mapping(port).await["backends"].take();
    assert_eq!(backends.as_array().unwrap().len(), 1, "{backends}");
    assert_eq!(backends[0]["node"], kubernetes.node(1));
}

#[tokio::test]
async fn services_are_listed_with_their_ways_and_where_they_are_open() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.add_node_port("shop").await;
    let port = free_port();
    cluster.run(&format!("open --no-wait {port}:svc/shop.backend:tcp")).await.ok();
    let listed = cluster.run("services -n backend").await.ok();
    let row = |name: &str, port: &str| {
        let is_meant = |line: &String| line.contains(name) && line.contains(port);
        lines(&listed.stdout).into_iter().find(is_meant).unwrap()
    };
    let shop = row("shop", &format!("{INNER}:{ECHO}/tcp"));
    assert!(
        shop.contains("NodePort") && shop.contains("node") && shop.contains(&format!("localhost:{port}/tcp")),
        "{shop}"
    );
    let inner = row("internal", "9999/tcp");
    assert!(inner.contains("ClusterIP") && inner.contains("route") && inner.ends_with('-'), "{inner}");
    let items = cluster.run("services -o json").await.ok().json();
    assert!(items["items"].as_array().unwrap().iter().any(|item| item["name"] == "kubernetes"), "{items:#}");
    let none = cluster.run("services -n nowhere").await.ok();
    assert_eq!((none.stdout.as_str(), none.stderr.trim()), ("", "There is no such Service."));
}

#[tokio::test]
async fn all_services_with_a_label_are_opened_at_once() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    let labelled = service("labelled", NAMESPACE).at(INTERNAL).label("app", "web").port("tcp", INNER);
    kubernetes.apply(labelled.udp_port("udp", INNER)).await;
    kubernetes.lead("labelled", PODS[0], 0).await;
    let opened = cluster.run("open --all -l app=web -o json").await.ok().json();
    let items = opened["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{opened:#}");
    for item in items {
        assert_eq!(item["target"]["object"]["name"], "labelled", "{item:#}");
        let port = u16::try_from(item["local"]["port"].as_u64().unwrap()).unwrap();
        match item["local"]["protocol"].as_str().unwrap() {
            "tcp" => tcp_echoes(local(port)).await,
            _ => udp_echoes(local(port)).await,
        }
    }
    let again = cluster.run("open --all -l app=web").await.ok();
    assert_eq!(again.stderr.matches("is open already").count(), 2, "{}", again.stderr);
    let none = cluster.run("open --all -l app=nothing").await.fails(1);
    assert!(none.stderr.contains("no Service matches the selector app=nothing"), "{}", none.stderr);
}

#[tokio::test]
async fn a_service_without_a_ready_pod_is_opened_and_says_what_it_lacks() {
    let Some(cluster) = cluster().await else { return };
    let kubernetes = cluster.add_kubernetes().await;
    kubernetes.apply(service("empty", NAMESPACE).at(INTERNAL).port("tcp", INNER)).await;
    kubernetes.apply(endpoint_slice("empty", NAMESPACE).port("tcp", INNER)).await;
    let opened = cluster.run(&format!("open {}:svc/empty.backend", free_port())).await.fails(1);
    assert!(opened.stdout.contains("svc/empty.backend has no endpoint"), "{}", opened.stdout);
}
