//! A kubeconfig that was read out of a container.

use std::net::SocketAddr;

use portgate_kube::access::{Access, ContainerKubeconfig};

use crate::Target;

/// `kube::access::container`
pub const TARGET: Target = Target { name: "kubeconfig", check, growth: 400 };

/// The container that it comes out of.
const CONTAINER: &str = "k3d-dev-server-0";

fn check(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    match ContainerKubeconfig::read(CONTAINER, text) {
        Ok(kubeconfig) => {
            assert_eq!(kubeconfig.container(), CONTAINER);
            let access = access(kubeconfig);
            assert_eq!(access.server(), "https://172.18.0.2:6443", "the server is the node");
            assert!(!access.namespace().contains(|c: char| !c.is_ascii_alphanumeric() && c != '-'));
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            drop(error.hint());
            false
        }
    }
}

/// The access that it gives, by way of a node's address.
pub(crate) fn access(kubeconfig: ContainerKubeconfig) -> Access {
    Access::of_container(kubeconfig, SocketAddr::from(([172, 18, 0, 2], 6443)))
}
