//! What stays read-only in a container in the host's network.

use portgate_core::status::Datapath;

/// Docker's own list (moby's `oci/defaults.go`) without `/proc/sys`, and the message queues, where everybody may write.
const ALWAYS: [&str; 5] = ["/dev/mqueue", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"];

/// For a gate that leaves the kernel alone.
const SETTINGS: &str = "/proc/sys";

/// For a gate that programmes the kernel's IPv4 forwarding: all there is beneath `/proc/sys` except for `net/ipv4`. The
/// runtime passes over those that a kernel does not have.
///
/// Without this a process of user 0 could write the host's settings: what is not of a network belongs to no namespace.
const OTHER_SETTINGS: [&str; 18] = [
    "/proc/sys/abi",
    "/proc/sys/crypto",
    "/proc/sys/debug",
    "/proc/sys/dev",
    "/proc/sys/fs",
    "/proc/sys/kernel",
    "/proc/sys/sunrpc",
    "/proc/sys/user",
    "/proc/sys/vm",
    "/proc/sys/net/bridge",
    "/proc/sys/net/core",
    "/proc/sys/net/ipv6",
    "/proc/sys/net/mpls",
    "/proc/sys/net/mptcp",
    "/proc/sys/net/netfilter",
    "/proc/sys/net/sctp",
    "/proc/sys/net/smc",
    "/proc/sys/net/unix",
];

/// In the words of `HostConfig.ReadonlyPaths`.
pub(super) fn paths(datapath: Datapath) -> Vec<String> {
    let settings = match datapath {
        Datapath::Kernel => OTHER_SETTINGS.as_slice(),
        Datapath::Relay => &[SETTINGS],
    };
    ALWAYS.iter().chain(settings).map(|&path| path.to_owned()).collect()
}
