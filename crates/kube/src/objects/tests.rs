//! What a real API server wrote, and odd cases.

mod limits;

use portgate_core::kubernetes::{Endpoint, EndpointPort, Exposure, ServicePort};
use serde_json::{Value, json};

use super::*;

const SERVICES: &str = include_str!("../../tests/fixtures/services.json");
const SLICES: &str = include_str!("../../tests/fixtures/endpointslices.json");
const PODS: &str = include_str!("../../tests/fixtures/pods.json");
const NODES: &str = include_str!("../../tests/fixtures/nodes.json");
const EVENTS: &str = include_str!("../../tests/fixtures/services-watch.jsonl");

fn recorded(resource: Resource, text: &str, name: &str) -> Item {
    let page = page(resource, text.as_bytes()).unwrap();
    assert_eq!(page.next, None);
    page.objects.into_iter().find(|object| object.place.1.starts_with(name)).unwrap().item
}

/// The only object of a list with this one.
fn listed(resource: Resource, object: &Value) -> Item {
    let list = json!({ "metadata": { "resourceVersion": "1" }, "items": [object] }).to_string();
    page(resource, list.as_bytes()).unwrap().objects.remove(0).item
}

fn service(spec: &Value, status: &Value) -> Service {
    let object = json!({ "metadata": { "name": "web", "namespace": "shop" }, "spec": spec, "status": status });
    let Item::Service(service) = listed(Resource::Services, &object) else { panic!("a Service") };
    service
}

fn pod(metadata: &Value, spec: &Value, status: &Value) -> Pod {
    let object = json!({ "metadata": metadata, "spec": spec, "status": status });
    let Item::Pod(pod) = listed(Resource::Pods, &object) else { panic!("a pod") };
    pod
}

fn slice(object: &Value) -> Slice {
    let Item::Slice(slice) = listed(Resource::EndpointSlices, object) else { panic!("a slice") };
    slice
}

fn slice_of(addresses: &str, endpoints: &Value, ports: &Value) -> Slice {
    let labels = json!({ "kubernetes.io/service-name": "web" });
    slice(&json!({ "metadata": { "name": "web-1", "labels": labels },
        "addressType": addresses, "endpoints": endpoints, "ports": ports }))
}

fn selector(selector: &Value) -> Option<String> {
    let Item::Workload(selector) =
        listed(Resource::Deployments, &json!({ "metadata": { "name": "web" }, "spec": { "selector": selector } }))
    else {
        panic!("a workload")
    };
    selector
}

fn port(number: u16) -> Port {
    Port::new(number).unwrap()
}

fn endpoint_port(name: Option<&str>, protocol: Protocol, number: u16) -> EndpointPort {
    EndpointPort { name: name.map(str::to_owned), protocol, port: port(number) }
}

fn service_port(name: &str, protocol: Protocol, number: u16, node_port: u16) -> ServicePort {
    ServicePort { name: Some(name.to_owned()), protocol, port: port(number), node_port: Port::new(node_port) }
}

#[test]
fn a_recorded_service_has_its_ports_of_both_protocols() {
    let Item::Service(echo) = recorded(Resource::Services, SERVICES, "echo") else { panic!("a Service") };
    assert_eq!(echo.exposure, Exposure::NodePort);
    assert_eq!(echo.cluster_ips, ["10.43.189.1".parse::<std::net::IpAddr>().unwrap()]);
    assert!(!echo.local_only);
    assert_eq!(
        echo.ports,
        [
            service_port("tcp", Protocol::Tcp, 9999, 30999),
            service_port("udp", Protocol::Udp, 9998, 30998),
            service_port("iperf", Protocol::Tcp, 5201, 30521),
            service_port("iperfu", Protocol::Udp, 5201, 30521),
            service_port("http", Protocol::Tcp, 80, 30080),
        ]
    );
}

#[test]
fn a_recorded_list_tells_its_version_and_where_its_objects_are() {
    let page = page(Resource::Services, SERVICES.as_bytes()).unwrap();
    assert_eq!(page.version, "345");
    let places: Vec<_> = page.objects.iter().map(|object| (object.place.0.as_str(), object.place.1.as_str())).collect();
    assert_eq!(places, [("backend", "echo"), ("backend", "internal"), ("default", "kubernetes")]);
    assert_eq!(page.objects[0].version, "265");
    assert_eq!(names(SERVICES.as_bytes()).unwrap().objects[1].item, Item::Other);
}

#[test]
fn a_recorded_slice_is_a_services_ready_pod_and_the_ports_behind_its_ports() {
    let Item::Slice(echo) = recorded(Resource::EndpointSlices, SLICES, "echo") else { panic!("a slice") };
    assert_eq!(echo.service, "echo");
    let [endpoint] = echo.endpoints.as_slice() else { panic!("one endpoint") };
    assert_eq!(endpoint.address, "10.42.0.2".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(endpoint.node.as_deref(), Some("k3d-mycluster-server-0"));
    assert_eq!(endpoint.pod.as_deref(), Some("echo-6d4f68dbd7-k8vdx"));
    assert!(endpoint.ready && !endpoint.terminating);
    assert_eq!(endpoint.port(&service_port("udp", Protocol::Udp, 1, 0)), Some(port(9998)));

    let Item::Slice(api) = recorded(Resource::EndpointSlices, SLICES, "kubernetes") else { panic!("a slice") };
    assert_eq!((api.endpoints[0].pod.as_deref(), api.endpoints[0].node.as_deref()), (None, None));
    assert!(api.endpoints[0].ready);
}

#[test]
fn a_recorded_pod_is_ready_and_declares_its_ports() {
    let Item::Pod(echo) = recorded(Resource::Pods, PODS, "echo") else { panic!("a pod") };
    assert_eq!(echo.name, "echo-6d4f68dbd7-k8vdx");
    assert_eq!(echo.address, Some("10.42.0.2".parse().unwrap()));
    assert_eq!(echo.node.as_deref(), Some("k3d-mycluster-server-0"));
    assert!(echo.ready && !echo.terminating);
    assert_eq!(
        echo.ports,
        [
            endpoint_port(Some("tcp-echo"), Protocol::Tcp, 9999),
            endpoint_port(Some("udp-echo"), Protocol::Udp, 9998),
            endpoint_port(None, Protocol::Tcp, 5201),
            endpoint_port(None, Protocol::Tcp, 80),
        ]
    );
}

#[test]
fn a_recorded_node_is_ready() {
    assert_eq!(recorded(Resource::Nodes, NODES, "k3d-mycluster-server-0"), Item::Node(true));
}

#[test]
fn every_line_of_a_recorded_watch_is_understood() {
    let told: Vec<&str> = EVENTS
        .lines()
        .map(|line| match event(Resource::Services, line.as_bytes()).unwrap() {
            Event::Put(object) => {
                assert!(matches!(object.item, Item::Service(_)) && !object.version.is_empty());
                "put"
            }
            Event::Gone(..) => "gone",
            Event::Bookmark(version) => {
                assert!(!version.is_empty());
                "bookmark"
            }
            Event::Refused(_) => "refused",
        })
        .collect();
    assert!(told.starts_with(&["put"]), "{told:?}");
}

#[test]
fn a_watch_that_is_too_old_is_refused_with_410() {
    let line = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",
        "message":"too old resource version: 1 (2)","reason":"Expired","code":410}}"#;
    let Event::Refused(status) = event(Resource::Pods, line.as_bytes()).unwrap() else { panic!("a refusal") };
    assert_eq!((status.code, status.message.as_str()), (410, "too old resource version: 1 (2)"));
}

#[test]
fn a_list_of_several_pages_tells_how_to_go_on() {
    let first = r#"{"metadata":{"resourceVersion":"9","continue":"abc","remainingItemCount":3},"items":null}"#;
    assert_eq!(
        page(Resource::Pods, first.as_bytes()).unwrap(),
        Page { objects: Vec::new(), version: "9".to_owned(), next: Some("abc".to_owned()) }
    );
}

#[test]
fn a_headless_service_has_no_address() {
    let headless = service(&json!({ "clusterIP": "None", "clusterIPs": ["None"] }), &json!({}));
    assert!(headless.is_headless());
    assert_eq!(headless.exposure, Exposure::ClusterIp);
}

#[test]
fn a_service_of_an_old_server_has_one_address() {
    assert_eq!(service(&json!({ "clusterIP": "10.43.0.7" }), &json!({})).cluster_ips.len(), 1);
}

#[test]
fn an_external_name_leads_nowhere_in_the_cluster() {
    let alias = service(&json!({ "type": "ExternalName", "externalName": "example.org" }), &json!({}));
    assert_eq!(alias.exposure, Exposure::ExternalName { name: "example.org".to_owned() });
    assert!(alias.cluster_ips.is_empty() && !alias.is_headless());
}

#[test]
fn a_load_balancer_is_known_by_its_ip_addresses_only() {
    let spec = json!({ "type": "LoadBalancer", "externalTrafficPolicy": "Local",
        "clusterIPs": ["10.43.0.9", "fd00::9"] });
    let status = json!({ "loadBalancer": { "ingress": [{ "ip": "172.20.0.2" }, { "hostname": "lb.example.org" }] } });
    let balanced = service(&spec, &status);
    assert_eq!(balanced.exposure, Exposure::LoadBalancer);
    assert_eq!(balanced.ingress, ["172.20.0.2".parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(balanced.cluster_ips.len(), 2);
    assert!(balanced.local_only);
}

#[test]
fn ports_of_other_protocols_are_dropped_and_tcp_is_the_default() {
    let ports = json!([{ "port": 80 }, { "port": 81, "protocol": "SCTP" }, { "port": 0 }, { "port": 53, "name": "dns",
        "protocol": "UDP", "nodePort": 0 }]);
    let unnamed = ServicePort { name: None, protocol: Protocol::Tcp, port: port(80), node_port: None };
    assert_eq!(
        service(&json!({ "ports": ports }), &json!({})).ports,
        [unnamed, service_port("dns", Protocol::Udp, 53, 0)]
    );
}

#[test]
fn what_a_slice_does_not_tell_of_readiness_counts_as_ready() {
    let endpoints = json!([
        { "addresses": ["10.42.0.1"] },
        { "addresses": ["10.42.0.2"], "conditions": { "ready": false } },
        { "addresses": ["10.42.0.3"], "conditions": { "ready": false, "serving": true, "terminating": true } },
    ]);
    let told = slice_of("IPv4", &endpoints, &json!([{ "name": "", "port": 80 }]));
    let told: Vec<_> = told.endpoints.iter().map(|endpoint| (endpoint.ready, endpoint.terminating)).collect();
    assert_eq!(told, [(true, false), (false, false), (false, true)]);
}

#[test]
fn a_slice_may_have_no_ports_no_endpoints_and_no_service() {
    let endpoints = json!([{ "addresses": ["10.42.0.1"] }]);
    assert_eq!(slice_of("IPv4", &endpoints, &json!(null)).endpoints[0].ports, []);
    assert_eq!(slice_of("IPv4", &json!(null), &json!(null)).endpoints, []);
    assert_eq!(slice(&json!({ "metadata": { "name": "own" } })).service, "");
}

#[test]
fn an_endpoint_is_a_pod_only_if_its_target_is_one() {
    let endpoints = json!([
        { "addresses": ["10.42.0.1"], "targetRef": { "kind": "Pod", "name": "web-a" } },
        { "addresses": ["10.42.0.2"], "targetRef": { "kind": "VirtualMachine", "name": "web-b" } },
    ]);
    let pods: Vec<_> = slice_of("IPv4", &endpoints, &json!([])).endpoints.into_iter().map(|e| e.pod).collect();
    assert_eq!(pods, [Some("web-a".to_owned()), None]);
}

#[test]
fn names_for_addresses_are_no_endpoints() {
    assert_eq!(slice_of("FQDN", &json!([{ "addresses": ["db.example.org"] }]), &json!([])).endpoints, []);
    assert_eq!(
        slice_of("IPv4", &json!([{ "addresses": ["nonsense"] }, { "addresses": [] }]), &json!([])).endpoints,
        []
    );
}

fn addressed(slice: &str, addresses: &[&str], ports: &Value) -> Slice {
    let endpoints: Vec<Value> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
    slice_of(slice, &json!(endpoints), ports)
}

fn joined(slices: &[Slice]) -> Vec<Endpoint> {
    join(slices)
}

#[test]
fn the_slices_of_a_service_are_joined_with_ipv4_first() {
    let ports = json!([{ "port": 80 }]);
    let six = addressed("IPv6", &["fd00::2"], &ports);
    let four = addressed("IPv4", &["10.42.1.9", "10.42.0.2"], &ports);
    let addresses: Vec<_> = joined(&[six, four]).iter().map(|endpoint| endpoint.address.to_string()).collect();
    assert_eq!(addresses, ["10.42.0.2", "10.42.1.9", "fd00::2"]);
}

#[test]
fn an_endpoint_of_two_slices_is_one_with_the_ports_of_both() {
    let http = addressed("IPv4", &["10.42.0.2"], &json!([{ "name": "http", "port": 80 }]));
    let both =
        addressed("IPv4", &["10.42.0.2"], &json!([{ "name": "http", "port": 80 }, { "name": "db", "port": 5432 }]));
    let [endpoint] = joined(&[http, both]).try_into().unwrap();
    assert_eq!(
        endpoint.ports,
        [endpoint_port(Some("http"), Protocol::Tcp, 80), endpoint_port(Some("db"), Protocol::Tcp, 5432)]
    );
}

#[test]
fn an_endpoint_that_moves_between_slices_stays_ready() {
    let old = slice_of("IPv4", &json!([{ "addresses": ["10.42.0.2"], "conditions": { "ready": false } }]), &json!([]));
    let new = slice_of("IPv4", &json!([{ "addresses": ["10.42.0.2"], "conditions": { "ready": true } }]), &json!([]));
    for slices in [[old.clone(), new.clone()], [new, old]] {
        let [endpoint] = joined(&slices).try_into().unwrap();
        assert!(endpoint.ready);
    }
}

#[test]
fn a_pod_that_took_over_an_address_is_an_endpoint_of_its_own() {
    let of = |pod: &str, ready: bool| {
        let target = json!({ "kind": "Pod", "name": pod });
        json!({ "addresses": ["10.42.0.2"], "conditions": { "ready": ready }, "targetRef": target })
    };
    let slice = slice_of("IPv4", &json!([of("web-a", false), of("web-b", true)]), &json!([]));
    assert_eq!(joined(&[slice]).len(), 2);
}

const READY: &str = r#"[{"type":"Initialized","status":"True"},{"type":"Ready","status":"True"}]"#;

fn ready() -> Value {
    serde_json::from_str(READY).unwrap()
}

#[test]
fn a_pod_that_is_deleted_is_terminating_and_not_ready() {
    let metadata = json!({ "name": "web-a", "deletionTimestamp": "2026-11-22T21:37:14Z" });
    let status = json!({ "phase": "Running", "podIP": "10.42.0.2", "conditions": ready() });
    let gone = pod(&metadata, &json!({}), &status);
    assert!(gone.terminating && !gone.ready);
    assert!(gone.address.is_some());
}

#[test]
fn a_pod_that_has_finished_is_neither_ready_nor_addressed() {
    for phase in ["Succeeded", "Failed"] {
        let status = json!({ "phase": phase, "podIP": "10.42.0.2", "conditions": ready() });
        let finished = pod(&json!({ "name": "job-a" }), &json!({}), &status);
        assert_eq!((finished.ready, finished.address), (false, None));
    }
}

#[test]
fn a_pod_that_has_not_started_has_no_address() {
    let pending = pod(&json!({ "name": "web-a" }), &json!({ "containers": null }), &json!({ "phase": "Pending" }));
    assert_eq!((pending.ready, pending.address, pending.node), (false, None, None));
    let conditions = json!([{ "type": "Ready", "status": "False" }]);
    assert!(!pod(&json!({ "name": "web-a" }), &json!({}), &json!({ "conditions": conditions })).ready);
}

#[test]
fn a_sidecars_ports_count_and_those_of_other_init_containers_do_not() {
    let containers = json!([{ "ports": [{ "name": "http", "containerPort": 8080 }] }, {}]);
    let init = json!([
        { "ports": [{ "containerPort": 1 }] },
        { "restartPolicy": "Always", "ports": [{ "name": "proxy", "containerPort": 15001, "protocol": "TCP" },
            { "containerPort": 15002, "protocol": "SCTP" }] },
    ]);
    let spec = json!({ "containers": containers, "initContainers": init });
    assert_eq!(
        pod(&json!({ "name": "web-a" }), &spec, &json!({})).ports,
        [endpoint_port(Some("http"), Protocol::Tcp, 8080), endpoint_port(Some("proxy"), Protocol::Tcp, 15001)]
    );
}

#[test]
fn a_workloads_selector_is_written_as_requests_have_it() {
    assert_eq!(selector(&json!({ "matchLabels": { "tier": "a", "app": "web" } })).as_deref(), Some("app=web,tier=a"));
    let expressions = json!([
        { "key": "tier", "operator": "In", "values": ["a", "b"] },
        { "key": "tier", "operator": "NotIn", "values": ["c"] },
        { "key": "app", "operator": "Exists" },
        { "key": "old", "operator": "DoesNotExist", "values": null },
    ]);
    let text = selector(&json!({ "matchLabels": { "app": "web" }, "matchExpressions": expressions }));
    assert_eq!(text.as_deref(), Some("app=web,tier in (a,b),tier notin (c),app,!old"));
}

#[test]
fn a_selector_that_says_nothing_selects_nothing() {
    assert_eq!(selector(&json!(null)), None);
    assert_eq!(selector(&json!({})), None);
    let unknown = json!({ "matchLabels": { "app": "web" }, "matchExpressions": [{ "key": "n", "operator": "Gt" }] });
    assert_eq!(selector(&unknown), None);
}

#[test]
fn what_is_no_list_is_an_error() {
    for text in ["", "[]", r#"{"items":[{}]}"#, r#"{"items":[{"metadata":{"name":1}}]}"#] {
        assert!(page(Resource::Services, text.as_bytes()).is_err(), "{text}");
    }
    assert!(event(Resource::Services, br#"{"type":"ADDED","object":1}"#).is_err());
}
