//! What an API server answers: lists, lines of watches, refusals.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use portgate_core::kubernetes::Objects;
use portgate_core::mapping::HostAddresses;
use portgate_core::spec::every_port;
use portgate_core::table::{Means, View};
use portgate_kube::access::{Access, ContainerKubeconfig};
use portgate_kube::fuzzing;
use portgate_kube::resource::Resource;

use crate::json::assert_comes_back;
use crate::{Target, kubeconfig};

/// `kube::objects`, and what becomes of it
pub const TARGET: Target = Target { name: "kubernetes", check, growth: 400 };

const RESOURCES: [Resource; 8] = [
    Resource::Services,
    Resource::EndpointSlices,
    Resource::Pods,
    Resource::Deployments,
    Resource::StatefulSets,
    Resource::DaemonSets,
    Resource::Nodes,
    Resource::Namespaces,
];

/// The server that answers.
static ACCESS: LazyLock<Arc<Access>> = LazyLock::new(|| {
    let text = include_str!("../corpus/kubeconfig/k3d");
    let kubeconfig = ContainerKubeconfig::read("k3d-dev-server-0", text).expect("a kubeconfig");
    Arc::new(kubeconfig::access(kubeconfig))
});

fn check(data: &[u8]) -> bool {
    let mut is_understood = fuzzing::names(data).is_some();
    for resource in RESOURCES {
        if let Some(objects) = fuzzing::list(resource, data) {
            check_objects(&objects);
        }
    }
    for line in data.split(|&byte| byte == b'\n') {
        for resource in RESOURCES {
            match fuzzing::event(resource, line, &ACCESS) {
                Some(Ok(objects)) => check_objects(&objects),
                Some(Err(refusal)) => assert!(!refusal.to_string().is_empty()),
                None => continue,
            }
            is_understood = true;
        }
    }
    is_understood
}

/// Checks that objects can be kept, and that every port of a Service leads somewhere or says why not.
fn check_objects(objects: &Objects) {
    assert_comes_back(objects);
    let (addresses, nodes) = (HostAddresses::loopback(), ["k3d-dev-server-0".to_owned()]);
    let seen = [(nodes[0].clone(), vec![IpAddr::from([172, 18, 0, 2])])].into();
    for (key, service) in &objects.services {
        for wanted in every_port(key, service, &addresses) {
            for means in [Means::Network { routes: true }, Means::Network { routes: false }, Means::Api] {
                let view = View { nodes: &nodes, seen: &seen, objects, means, own: None };
                match view.resolve(&wanted.target, wanted.protocol) {
                    Ok(backends) => assert!(!backends.is_empty()),
                    Err(why) => assert!(!why.to_string().is_empty()),
                }
            }
        }
    }
}
