//! A kubeconfig that was read out of a container.

use std::net::SocketAddr;

use portgate_kube::access::{Access, port_in};

use crate::Target;

/// `kube::access::container`
pub const TARGET: Target = Target { name: "kubeconfig", check, growth: 4000 };

fn check(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let address = SocketAddr::from(([172, 18, 0, 2], 6443));
    if let Err(error) = port_in(text) {
        assert!(!error.to_string().is_empty());
    }
    match Access::of_container("k3d-dev-server-0", text, address) {
        Ok(access) => {
            assert_eq!(access.server(), "https://172.18.0.2:6443", "the server is the node");
            assert!(!access.namespace().is_empty());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            drop(error.hint());
            false
        }
    }
}
