//! From what the kernel counted to what a gate reports.

use std::collections::{BTreeMap, BTreeSet};

use portgate_core::mapping::Local;
use portgate_core::port::Protocol;
use portgate_core::status::Counters;

use crate::elements::{Key, Purpose, Set};
use crate::entry::Entry;
use crate::plan::{Carried, Front, Plan};
use crate::table::Count;

/// IPv4's and UDP's headers: what a datagram has beside its payload, in bytes.
const UDP_HEADERS: u64 = 20 + 8;

/// IPv4's and TCP's headers with the timestamps that Linux sends in every segment, in bytes. The few segments without, or
/// with other options, make the payload an estimate.
const TCP_HEADERS: u64 = 20 + 20 + 12;

/// By how much the first packet of either side is longer, in bytes: its options are of 20, not 12 bytes.
const TCP_HANDSHAKE: u64 = 8;

/// What each element counted.
pub(crate) type Counts = BTreeMap<(Set, Vec<u8>), Count>;

/// The sets of the plan's fronts that count.
pub(crate) fn sets(plan: &Plan) -> BTreeSet<Set> {
    let fronts = plan.carried.values().flat_map(|carried| &carried.fronts);
    let purposes = [Purpose::Flows, Purpose::Sent, Purpose::Received];
    fronts.flat_map(|front| purposes.map(|purpose| Set::of(front, purpose))).collect()
}

/// The counters of each mapping that the kernel carries.
pub(crate) fn report(plan: &Plan, counts: &Counts, entries: &[Entry]) -> BTreeMap<Local, Counters> {
    let mut open: BTreeMap<Front, u64> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.is_open() && entry.led_to.is_some() && entry.masqueraded) {
        entry.fronts().for_each(|front| *open.entry(front).or_default() += 1);
    }
    let counters = |(local, carried): (&Local, &Carried)| (local.clone(), sum(local.protocol, carried, counts, &open));
    plan.carried.iter().map(counters).collect()
}

fn sum(protocol: Protocol, carried: &Carried, counts: &Counts, open: &BTreeMap<Front, u64>) -> Counters {
    let total = |purpose| {
        let count = |front: &Front| {
            counts
                .get(&(Set::of(front, purpose), Key { front: *front, slot: None }.bytes()))
                .copied()
                .unwrap_or_default()
        };
        carried.fronts.iter().map(count).fold(Count::default(), |sum, count| Count {
            packets: sum.packets + count.packets,
            bytes: sum.bytes + count.bytes,
        })
    };
    let (flows, sent, received) = (total(Purpose::Flows), total(Purpose::Sent), total(Purpose::Received));
    let open = carried.fronts.iter().filter_map(|front| open.get(front)).sum();
    let payload = |count: Count, headers: u64| count.bytes.saturating_sub(count.packets.saturating_mul(headers));
    match protocol {
        Protocol::Tcp => Counters {
            connections_open: open,
            connections_total: flows.packets,
            bytes_in: payload(sent, TCP_HEADERS).saturating_sub(flows.packets.saturating_mul(TCP_HANDSHAKE)),
            bytes_out: payload(received, TCP_HEADERS).saturating_sub(flows.packets.saturating_mul(TCP_HANDSHAKE)),
            ..Counters::default()
        },
        Protocol::Udp => Counters {
            sessions_open: open,
            sessions_total: flows.packets,
            bytes_in: payload(sent, UDP_HEADERS),
            bytes_out: payload(received, UDP_HEADERS),
            datagrams_in: sent.packets,
            datagrams_out: received.packets,
            ..Counters::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Place;
    use crate::sample::{local, table};

    #[test]
    fn payload_is_what_was_counted_without_headers() {
        let end = "127.0.0.1:8080/udp";
        let plan = Plan::new(&Place::Host { bridge: "br".to_owned() }, &table(&[(end, &["172.18.0.2:80"])]));
        let front = plan.carried.values().next().unwrap().fronts[0];
        let count = |purpose, packets, bytes| {
            ((Set::of(&front, purpose), Key { front, slot: None }.bytes()), Count { packets, bytes })
        };
        let counts = Counts::from([count(Purpose::Flows, 2, 56), count(Purpose::Sent, 3, 384)]);
        let counters = &report(&plan, &counts, &[])[&local(end)];
        assert_eq!((counters.sessions_total, counters.datagrams_in, counters.bytes_in), (2, 3, 300));
        assert_eq!((counters.datagrams_out, counters.bytes_out), (0, 0));
    }
}
