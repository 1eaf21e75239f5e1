//! What rules are made of.

use std::fmt;

use crate::elements::{Purpose, Set};
use crate::plan::SLOTS;

/// Where the parts of a key come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The packet as it is now.
    Packet,
    /// The flow's first packet, before any translation.
    Flow,
}

/// The direction of a packet within its flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the first packet.
    Original,
    /// Against it.
    Reply,
}

/// A condition or an action; those of one rule are carried out until one does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// The packet came in by this interface.
    From(String),
    /// The packet came in by another interface.
    NotFrom(String),
    /// The packet leaves by another interface.
    NotTo(String),
    /// The packet leaves by another interface than `lo`: it is not for an address of this network.
    NotToSelf,
    /// The packet is not for an address of this network, in hooks where there is no outgoing interface yet.
    DestinationNotLocal,
    /// The packet came in by no interface: a process of this network sent it.
    FromSelf,
    /// The packet is for 127.0.0.0/8.
    DestinationLoopback,
    /// The packet is from 127.0.0.0/8.
    SourceLoopback,
    /// The flow's destination has been translated.
    Translated,
    /// The packet goes in this direction of its flow.
    Goes(Direction),
    /// The key is in the set, which counts it if it counts.
    In(Source, Set),
    /// The destination becomes what the map has for the packet's key; without one the next rule has its turn.
    Lead(Set),
    /// The source becomes the address of the outgoing interface.
    Masquerade,
    /// The packet gets this firewall mark.
    Mark(u32),
    /// Nobody gets the packet.
    Drop,
    /// The packet has passed this chain.
    Accept,
    /// The chain ends here.
    Return,
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(interface) => write!(f, "iifname \"{interface}\""),
            Self::NotFrom(interface) => write!(f, "iifname != \"{interface}\""),
            Self::NotTo(interface) => write!(f, "oifname != \"{interface}\""),
            Self::NotToSelf => f.write_str("oif != \"lo\""),
            Self::DestinationNotLocal => f.write_str("fib daddr type != local"),
            Self::FromSelf => f.write_str("iif 0"),
            Self::DestinationLoopback => f.write_str("ip daddr 127.0.0.0/8"),
            Self::SourceLoopback => f.write_str("ip saddr 127.0.0.0/8"),
            Self::Translated => f.write_str("ct status dnat"),
            Self::Goes(Direction::Original) => f.write_str("ct direction original"),
            Self::Goes(Direction::Reply) => f.write_str("ct direction reply"),
            Self::In(source, set) => write!(f, "{} @{set}", key(*source, *set)),
            Self::Lead(set) => write!(f, "dnat ip to {} map @{set}", key(Source::Packet, *set)),
            Self::Masquerade => f.write_str("masquerade"),
            Self::Mark(mark) => write!(f, "meta mark set {mark:#010x}"),
            Self::Drop => f.write_str("drop"),
            Self::Accept => f.write_str("accept"),
            Self::Return => f.write_str("return"),
        }
    }
}

fn key(source: Source, set: Set) -> String {
    let (address, port) = match source {
        Source::Packet => ("ip daddr", "th dport"),
        Source::Flow => ("ct original ip daddr", "ct original proto-dst"),
    };
    let address = if set.any { String::new() } else { format!("{address} . ") };
    let slot = if set.purpose == Purpose::Many { format!(" . numgen random mod {SLOTS}") } else { String::new() };
    format!("{address}meta l4proto . {port}{slot}")
}
