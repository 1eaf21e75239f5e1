//! A file out of a container, in the tar archive that the engine wraps around it.

use portgate_core::limits;

use crate::Target;

/// `docker::file`
pub const TARGET: Target = Target { name: "archive", check, growth: 4 };

fn check(data: &[u8]) -> bool {
    match portgate_docker::file::unpack(data, limits::KUBECONFIG, "a file") {
        Ok(content) => {
            assert!(content.len() <= data.len(), "no more than was sent");
            !content.is_empty()
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}
