//! What keeps a worker to its work even where an attacker has it run other code.
//!
//! Being nobody without a capability is not enough in the host's network: abstract Unix sockets belong to the network
//! namespace and have no permissions, so a worker could talk to the host's X server, D-Bus or containerd. Two restrictions
//! that no process can lift again stand in the way. [`enter_domain`] (Landlock) takes files, abstract sockets and signals
//! away, and [`filter_calls`] (seccomp) leaves only the system calls of a relay that runs.

mod calls;
mod domain;

pub use calls::{Filter, filter_calls};
pub use domain::{Domain, enter_domain};

/// A worker could not be restricted.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel has Landlock and did not take the rules.
    #[error("cannot enter a Landlock domain")]
    Domain(#[from] landlock::RulesetError),
    /// The filter is wrong, or the kernel has seccomp and did not take it.
    #[error("cannot install a seccomp filter")]
    Filter(#[from] seccompiler::Error),
}
