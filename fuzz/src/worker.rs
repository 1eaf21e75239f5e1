//! What a gate's supervisor and its worker say to each other.
//!
//! The bytes are packets with 0xff between them, which no JSON has.

use crate::Target;

/// `gate::worker`'s packets and messages
pub const TARGET: Target = Target { name: "worker", check, growth: 400 };

#[cfg(target_os = "linux")]
fn check(data: &[u8]) -> bool {
    use portgate_gate::fuzzing::{order, report};

    let packets: Vec<&[u8]> = data.split(|byte| *byte == 0xff).collect();
    comes_back(order, &packets) | comes_back(report, &packets)
}

/// A worker needs Linux.
#[cfg(not(target_os = "linux"))]
fn check(_: &[u8]) -> bool {
    true
}

/// Checks that a message is the same once it was sent and received again. Returns whether there is one.
#[cfg(target_os = "linux")]
fn comes_back(read: impl Fn(&[&[u8]]) -> std::io::Result<Option<Vec<u8>>>, packets: &[&[u8]]) -> bool {
    const COMPLETE: u8 = 1;

    let Ok(Some(message)) = read(packets) else { return false };
    let packet = [&[COMPLETE][..], &message].concat();
    if packet.len() <= 32 << 10 {
        let again = read(&[&packet]).expect("what was received can be sent");
        assert_eq!(again, Some(message));
    }
    true
}
