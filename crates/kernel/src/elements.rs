//! The elements of the table's sets: all that changes while a gate runs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddrV4;

use portgate_core::port::Protocol;

use crate::plan::{Carried, End, Front, Plan, SLOTS};

/// `IPPROTO_TCP` and `IPPROTO_UDP` of linux/in.h.
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Leads a front to its only backend.
    One,
    /// Leads a front to its backends, by a random slot.
    Many,
    /// Counts the flows of a front; what is in it is masqueraded.
    Flows,
    /// Counts the packets from clients.
    Sent,
    /// Counts the packets from backends.
    Received,
    /// Fronts whose packets need the gate's own routes.
    Routed,
}

/// One set or map of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Set {
    /// Whether its fronts have no address, and stand for each address of the network.
    pub any: bool,
    /// What it is for.
    pub purpose: Purpose,
}

impl Set {
    /// The set of this purpose that a front belongs into.
    pub fn of(front: &Front, purpose: Purpose) -> Self {
        Self { any: front.address.is_none(), purpose }
    }

    /// Whether its elements have data: where to lead to.
    pub fn is_map(self) -> bool {
        matches!(self.purpose, Purpose::One | Purpose::Many)
    }

    /// Whether its elements count packets and bytes.
    pub fn counts(self) -> bool {
        matches!(self.purpose, Purpose::Flows | Purpose::Sent | Purpose::Received)
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.purpose {
            Purpose::One => "one",
            Purpose::Many => "many",
            Purpose::Flows => "flows",
            Purpose::Sent => "sent",
            Purpose::Received => "received",
            Purpose::Routed => "routed",
        };
        write!(f, "{}{name}", if self.any { "any_" } else { "" })
    }
}

/// The key of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Where packets are caught.
    pub front: Front,
    /// In maps for several backends, which of the [`SLOTS`].
    pub slot: Option<u32>,
}

impl Key {
    /// As the kernel has it: each part begins at a multiple of four bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16);
        if let Some(address) = self.front.address {
            bytes.extend(address.octets());
        }
        bytes.extend([protocol_number(self.front.protocol), 0, 0, 0]);
        bytes.extend(self.front.port.number().to_be_bytes());
        bytes.extend([0, 0]);
        if let Some(slot) = self.slot {
            bytes.extend(slot.to_ne_bytes());
        }
        bytes
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Front { address, protocol, port } = self.front;
        if let Some(address) = address {
            write!(f, "{address} . ")?;
        }
        write!(f, "{protocol} . {port}")?;
        // `mark` is the kernel's and nft's name for a plain number of 32 bits.
        self.slot.map_or(Ok(()), |slot| write!(f, " . {slot:#010x}"))
    }
}

/// The number that IP has for a protocol.
pub(crate) fn protocol_number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => TCP,
        Protocol::Udp => UDP,
    }
}

/// The protocol that has this number.
pub(crate) fn protocol_of(number: u8) -> Option<Protocol> {
    [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol_number(*protocol) == number)
}

/// Where an element of a map leads to, as the kernel has it.
pub(crate) fn data_bytes(address: SocketAddrV4) -> Vec<u8> {
    let mut bytes = address.ip().octets().to_vec();
    bytes.extend(address.port().to_be_bytes());
    bytes.extend([0, 0]);
    bytes
}

/// The content of all sets, with the data of those that are maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elements(BTreeMap<(Set, Key), Option<SocketAddrV4>>);

/// What leads from one content to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// To be removed first.
    pub removed: Elements,
    /// To be added then. An element that leads elsewhere is in both.
    pub added: Elements,
}

impl Elements {
    /// The content that carries out a plan.
    pub fn new(plan: &Plan) -> Self {
        let mut elements = Self::default();
        for carried in plan.carried.values() {
            for front in &carried.fronts {
                elements.lead(*front, carried);
            }
        }
        elements
    }

    /// A front that two mappings share belongs to the first.
    fn lead(&mut self, front: Front, carried: &Carried) {
        if self.0.contains_key(&(Set::of(&front, Purpose::Flows), Key { front, slot: None })) {
            return;
        }
        let mut insert = |purpose, slot, end: Option<&End>| {
            self.0.insert((Set::of(&front, purpose), Key { front, slot }), end.map(|end| end.address));
        };
        match carried.ends.as_slice() {
            [end] => insert(Purpose::One, None, Some(end)),
            ends => (0..SLOTS).zip(ends.iter().cycle()).for_each(|(slot, end)| {
                insert(Purpose::Many, Some(slot), Some(end));
            }),
        }
        insert(Purpose::Flows, None, None);
        insert(Purpose::Sent, None, None);
        insert(Purpose::Received, None, None);
        if carried.ends.iter().any(|end| end.via.is_some()) {
            insert(Purpose::Routed, None, None);
        }
    }

    /// What leads from this content to that one. What is in both is in neither part of the change.
    pub fn change_to(&self, next: &Self) -> Change {
        let without = |these: &Self, those: &Self| {
            let only = these.0.iter().filter(|(key, data)| those.0.get(key) != Some(data));
            Self(only.map(|(key, data)| (*key, *data)).collect())
        };
        Change { removed: without(self, next), added: without(next, self) }
    }

    /// Whether there are fronts whose packets need the gate's own routes.
    pub fn are_routed(&self) -> bool {
        self.0.keys().any(|(set, _)| set.purpose == Purpose::Routed)
    }

    /// The elements of each set that has any, in the order of their keys.
    pub fn sets(&self) -> BTreeMap<Set, Vec<(Key, Option<SocketAddrV4>)>> {
        let mut sets: BTreeMap<Set, Vec<_>> = BTreeMap::new();
        for ((set, key), data) in &self.0 {
            sets.entry(*set).or_default().push((*key, *data));
        }
        sets
    }
}

/// An element in nft syntax.
pub(crate) fn written(key: &Key, data: Option<SocketAddrV4>) -> String {
    data.map_or_else(|| key.to_string(), |data| format!("{key} : {} . {}", data.ip(), data.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Place;
    use crate::sample::table;

    fn elements(mappings: &[(&str, &[&str])]) -> Elements {
        Elements::new(&Plan::new(&Place::Host { bridge: "br".to_owned() }, &table(mappings)))
    }

    fn listed(elements: &Elements) -> Vec<String> {
        let sets = elements.sets().into_iter();
        sets.flat_map(|(set, list)| list.into_iter().map(move |(key, data)| format!("{set} {}", written(&key, data))))
            .collect()
    }

    #[test]
    fn a_change_names_only_what_differs() {
        let before = elements(&[("127.0.0.1:80/tcp", &["172.18.0.2:80"]), ("127.0.0.1:81/tcp", &["172.18.0.2:81"])]);
        let after = elements(&[("127.0.0.1:80/tcp", &["172.18.0.2:80"]), ("127.0.0.1:81/tcp", &["172.18.0.3:81"])]);
        let change = before.change_to(&after);
        assert_eq!(listed(&change.removed), ["one 127.0.0.1 . tcp . 81 : 172.18.0.2 . 81"]);
        assert_eq!(listed(&change.added), ["one 127.0.0.1 . tcp . 81 : 172.18.0.3 . 81"]);
        assert_eq!(after.change_to(&after), Change::default());
    }

    #[test]
    fn a_second_backend_moves_a_front_to_the_slots_and_keeps_its_counters() {
        let one = elements(&[("0.0.0.0:80/tcp", &["172.18.0.2:80"])]);
        let two = elements(&[("0.0.0.0:80/tcp", &["172.18.0.2:80", "172.18.0.3:80"])]);
        let change = one.change_to(&two);
        assert_eq!(listed(&change.removed), ["any_one tcp . 80 : 172.18.0.2 . 80"]);
        let added = listed(&change.added);
        assert_eq!(added.len(), 12);
        assert_eq!(added[0], "any_many tcp . 80 . 0x00000000 : 172.18.0.2 . 80");
        assert_eq!(added[11], "any_many tcp . 80 . 0x0000000b : 172.18.0.3 . 80");
    }

    #[test]
    fn a_key_has_its_parts_at_multiples_of_four_bytes() {
        let one = elements(&[("127.0.0.1:258/udp", &["172.18.0.2:80"])]);
        let key = one.sets().into_values().next().unwrap()[0].0;
        assert_eq!(key.bytes(), [127, 0, 0, 1, 17, 0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(data_bytes("172.18.0.2:259".parse().unwrap()), [172, 18, 0, 2, 1, 3, 0, 0]);
    }
}
