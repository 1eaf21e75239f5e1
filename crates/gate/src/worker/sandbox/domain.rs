//! The Landlock domain of a worker.

use std::fmt;

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};

use super::SandboxError;

/// The newest version of Landlock whose restrictions are asked for: Linux 6.12, the first with scopes. An older kernel
/// applies those that it knows.
const VERSION: ABI = ABI::V6;

/// How much of the domain the kernel applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// All: files, listening on TCP ports, abstract Unix sockets, signals.
    Whole,
    /// What this kernel has of it.
    Part,
    /// Nothing: the kernel has no Landlock, or the container's own seccomp profile hides it.
    Missing,
}

/// Takes from this thread, and from all that it starts afterwards, each right to a file by its path, to listen on a TCP
/// port, to connect to an abstract Unix socket of a process outside of the domain and to send a signal to one. What is
/// open already can be used further.
///
/// Other threads that run already are not restricted, so this is to be called while there is only one.
pub fn enter_domain() -> Result<Domain, SandboxError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(VERSION))?
        .create()?
        .restrict_self()?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Domain::Whole,
        RulesetStatus::PartiallyEnforced => Domain::Part,
        RulesetStatus::NotEnforced => Domain::Missing,
    })
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "enforced",
            Self::Part => "partly enforced by this kernel",
            Self::Missing => "not available",
        })
    }
}
