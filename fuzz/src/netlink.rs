//! What the kernel answers: dumps of nftables, conntrack and routes.

use crate::Target;

/// `kernel`'s readers of netlink replies
pub const TARGET: Target = Target { name: "netlink", check, growth: 64 };

#[cfg(target_os = "linux")]
fn check(data: &[u8]) -> bool {
    let understood = portgate_kernel::fuzzing::replies(data);
    // Five readings of each message, and none is shorter than its header.
    assert!(understood <= 5 * data.len() / 16);
    understood > 0
}

/// Elsewhere there is no netlink, and nothing to read.
#[cfg(not(target_os = "linux"))]
fn check(_: &[u8]) -> bool {
    true
}
