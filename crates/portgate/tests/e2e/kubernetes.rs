//! The Kubernetes of a test's cluster: the API double in one of its nodes, with Services that lead to the nodes' peers.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use portgate_double::object::{endpoint_slice, node, service};
use portgate_double::{Control, Kubeconfig, Resource};
use serde_json::Value;
use tokio::process::Command;

use crate::support::{Cluster, DATAGRAM_ECHO, ECHO, eventually, finish};

/// Where the double in a node is controlled; see `examples/peer.rs`.
const CONTROL: u16 = 6480;

/// The namespace of the Services.
pub(crate) const NAMESPACE: &str = "backend";

/// What the peers serve at the addresses of Services and pods.
pub(crate) const INNER: u16 = 9999;

/// Addresses within the cluster: of Services and of pods, all of which end at the nodes.
pub(crate) const INTERNAL: &str = "10.43.49.72";
pub(crate) const BOTH_PROTOCOLS: &str = "10.43.49.73";
pub(crate) const PODS: [&str; 2] = ["10.42.77.2", "10.42.77.3"];

/// What a test tells the cluster's API server.
pub(crate) struct Kubernetes<'a> {
    pub(crate) api: Control,
    cluster: &'a Cluster,
    /// The nodes, and their addresses.
    nodes: Vec<(String, IpAddr)>,
}

impl<'a> Kubernetes<'a> {
    /// The API server in this node, once it answers.
    pub(crate) async fn of(cluster: &'a Cluster, server: &str) -> Self {
        let mut nodes = Vec::new();
        for name in [cluster.node("server-0"), cluster.node(server)] {
            nodes.push((name.clone(), cluster.address_of(&name).await));
        }
        let control = SocketAddr::new(cluster.address_of(&cluster.node(server)).await, CONTROL);
        let api = eventually(async || {
            let api = Control::remote(control);
            api.counters().await.ok().map(|_| api)
        })
        .await;
        let kubernetes = Self { api, cluster, nodes };
        kubernetes.lay_down_kubeconfig(&kubernetes.kubeconfig().await).await;
        kubernetes.prepare().await;
        kubernetes
    }

    /// Its administrator's kubeconfig, as k3s writes it.
    pub(crate) async fn kubeconfig(&self) -> String {
        let wanted = Kubeconfig { server: Some("https://0.0.0.0:6443".to_owned()), ..Kubeconfig::default() };
        self.api.kubeconfig(&wanted).await.unwrap()
    }

    /// Writes a kubeconfig to where a server of k3d has it.
    pub(crate) async fn lay_down_kubeconfig(&self, text: &str) {
        self.lay_down(|path| std::fs::write(path, text).unwrap()).await;
    }

    /// Makes the file where a server of k3d has its kubeconfig.
    pub(crate) async fn lay_down(&self, make: impl FnOnce(&Path)) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("output")).unwrap();
        make(&directory.path().join("output/kubeconfig.yaml"));
        let from = format!("{}/.", directory.path().display());
        self.cluster.docker(&["cp", &from, &format!("{}:/", self.node(1))]).await;
    }

    /// The nodes as Kubernetes knows them, and the addresses that end at them.
    async fn prepare(&self) {
        self.api.delete(Resource::Nodes, "", "k3d-mycluster-server-0").await.unwrap();
        for (name, address) in &self.nodes {
            self.api.apply(node(name, &address.to_string())).await.unwrap();
            let pid = self.cluster.inspect(name).await["State"]["Pid"].to_string();
            for inner in [INTERNAL, BOTH_PROTOCOLS].into_iter().chain(PODS) {
                let mut command = Command::new("nsenter");
                command.args(["--target", &pid, "--net", "ip", "address", "add", &format!("{inner}/32"), "dev", "lo"]);
                finish(command).await.ok();
            }
        }
    }

    /// The name of the node of this number.
    pub(crate) fn node(&self, number: usize) -> &str {
        &self.nodes[number].0
    }

    /// The address of the node of this number.
    pub(crate) fn address(&self, number: usize) -> IpAddr {
        self.nodes[number].1
    }

    pub(crate) async fn apply(&self, object: impl Into<Value>) {
        self.api.apply(object).await.unwrap();
    }

    /// A Service with the node port of the peers' echo.
    pub(crate) async fn add_node_port(&self, name: &str) {
        let ports = service(name, NAMESPACE).at("10.43.99.1").port("tcp", INNER).node_port(ECHO);
        self.apply(ports.udp_port("udp", INNER - 1).node_port(DATAGRAM_ECHO)).await;
        self.lead(name, PODS[0], 0).await;
    }

    /// Gives a Service one ready pod, of this address, on this node.
    pub(crate) async fn lead(&self, name: &str, pod: &str, node: usize) {
        let slice = endpoint_slice(name, NAMESPACE).port("tcp", INNER).udp_port("udp", INNER);
        self.apply(slice.endpoint(pod, self.node(node), &format!("{name}-pod"))).await;
    }
}
