//! Which conntrack entries must go when the mappings change. A flow keeps the backend that its first packet got for as
//! long as its entry lives, whatever the table says by then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};

use portgate_core::mapping::Local;
use portgate_core::port::{Port, Protocol};

use crate::plan::{Front, Plan};

/// `TCP_CONNTRACK_SYN_SENT` and `TCP_CONNTRACK_ESTABLISHED` of `linux/netfilter/nf_conntrack_tcp.h`.
const SYN_SENT: u8 = 1;
const ESTABLISHED: u8 = 3;

/// A flow that the kernel tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) protocol: Protocol,
    /// Source and destination of the first packet.
    pub(crate) from: SocketAddrV4,
    pub(crate) to: SocketAddrV4,
    /// Who answers, once the destination was translated.
    pub(crate) led_to: Option<SocketAddrV4>,
    /// Whether the source was translated.
    pub(crate) masqueraded: bool,
    /// `TCP_CONNTRACK_*`; 0 for UDP.
    pub(crate) tcp_state: u8,
    /// The kernel's number for it.
    pub(crate) id: u32,
}

impl Entry {
    /// The fronts that it may have come by.
    pub(crate) fn fronts(&self) -> impl Iterator<Item = Front> {
        let (protocol, address) = (self.protocol, *self.to.ip());
        let port = Port::new(self.to.port());
        let front = move |address| port.map(|port| Front { address, protocol, port });
        [Some(address), None].into_iter().filter_map(front)
    }

    /// Whether its first packet was to one of these addresses, or to the loopback of the host.
    fn is_to_one_of(&self, addresses: &BTreeSet<Ipv4Addr>) -> bool {
        self.to.ip().is_loopback() || addresses.contains(self.to.ip())
    }

    /// Whether it carries something: a connection that is established, or a UDP session.
    pub(crate) fn is_open(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.tcp_state == ESTABLISHED,
            Protocol::Udp => true,
        }
    }

    /// Whether a new beginning loses nothing.
    fn can_move(&self) -> bool {
        match self.protocol {
            Protocol::Tcp => self.tcp_state == SYN_SENT,
            Protocol::Udp => true,
        }
    }
}

/// What befell a front.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// It was closed, so its flows to these end.
    Closed(BTreeSet<SocketAddrV4>),
    /// It does not lead to these any more, so what can move does.
    Lost(BTreeSet<SocketAddrV4>),
    /// It leads to these now, so what the relay carried, or a killed gate led elsewhere, moves.
    Taken(BTreeSet<SocketAddrV4>),
}

/// What befell the fronts that were changed.
#[derive(Debug, Default)]
pub(crate) struct Fates(BTreeMap<Front, Fate>);

impl Fates {
    /// Whether no entry can be meant.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an entry can be meant that leads nowhere, because the relay carried its flow, or that a killed gate led: only
    /// its destination tells that it is of this host.
    pub(crate) fn concern_relayed(&self) -> bool {
        self.0.values().any(|fate| matches!(fate, Fate::Taken(_)))
    }

    /// Whether this entry must go; `addresses` are the host's own.
    pub(crate) fn doom(&self, entry: &Entry, addresses: &BTreeSet<Ipv4Addr>) -> bool {
        entry.fronts().any(|front| match (self.0.get(&front), entry.led_to) {
            (Some(Fate::Closed(ends)), Some(end)) => ends.contains(&end),
            (Some(Fate::Lost(ends)), Some(end)) => ends.contains(&end) && entry.can_move(),
            // What was to the same port of another machine is somebody else's.
            (Some(Fate::Taken(_)), _) if !entry.is_to_one_of(addresses) => false,
            (Some(Fate::Taken(_)), None) => entry.can_move() && !entry.masqueraded,
            // A gate masquerades all that it leads; what is not is somebody else's.
            (Some(Fate::Taken(ends)), Some(end)) => !ends.contains(&end) && entry.can_move() && entry.masqueraded,
            (Some(Fate::Closed(_) | Fate::Lost(_)), None) | (None, _) => false,
        })
    }
}

/// Where each mapping has ever led since it was opened: connections outlive a change of backends.
#[derive(Debug, Default)]
pub(crate) struct History(BTreeMap<Local, Past>);

#[derive(Debug)]
struct Past {
    fronts: Vec<Front>,
    ends: BTreeSet<SocketAddrV4>,
}

impl History {
    /// What befalls the fronts when one plan follows another.
    pub(crate) fn fates(&self, previous: &Plan, next: &Plan) -> Fates {
        let mut fates = Fates::default();
        for (local, past) in &self.0 {
            let before = previous.carried.get(local);
            let fate = match next.carried.get(local) {
                Some(after) if before == Some(after) => continue,
                Some(after) => Fate::Lost(&past.ends - &ends(&after.ends)),
                None if next.relayed.contains_key(local) => Fate::Lost(past.ends.clone()),
                None => Fate::Closed(past.ends.clone()),
            };
            fates.0.extend(past.fronts.iter().map(|front| (*front, fate.clone())));
        }
        fates.take(next, |local| !previous.carried.contains_key(local));
        fates
    }

    /// What befalls the fronts when a table is made anew, after the relay has carried all for a while.
    pub(crate) fn taken_again(plan: &Plan) -> Fates {
        let mut fates = Fates::default();
        fates.take(plan, |_| true);
        fates
    }

    /// Adds where the plan leads, and forgets mappings that are neither carried nor relayed any more.
    pub(crate) fn record(&mut self, plan: &Plan) {
        self.0.retain(|local, _| plan.carried.contains_key(local) || plan.relayed.contains_key(local));
        for (local, carried) in &plan.carried {
            let past = || Past { fronts: carried.fronts.clone(), ends: BTreeSet::new() };
            self.0.entry(local.clone()).or_insert_with(past).ends.extend(ends(&carried.ends));
        }
    }
}

impl Fates {
    /// TCP connections stay with the relay that carries them; UDP clients may never stop sending.
    fn take(&mut self, plan: &Plan, is_new: impl Fn(&Local) -> bool) {
        let new = plan.carried.iter().filter(|(local, _)| local.protocol == Protocol::Udp && is_new(local));
        for (_, carried) in new {
            let fate = Fate::Taken(ends(&carried.ends));
            self.0.extend(carried.fronts.iter().map(|front| (*front, fate.clone())));
        }
    }
}

fn ends(list: &[crate::plan::End]) -> BTreeSet<SocketAddrV4> {
    list.iter().map(|end| end.address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Place;
    use crate::sample::table;

    const ONE: &str = "172.18.0.2:80";
    const TWO: &str = "172.18.0.3:80";

    fn plan(mappings: &[(&str, &[&str])]) -> Plan {
        Plan::new(&Place::Host { bridge: "br".to_owned() }, &table(mappings))
    }

    /// A flow to 127.0.0.1:8080, led and masqueraded by a gate if it was led.
    fn flow(protocol: Protocol, tcp_state: u8, led_to: Option<&str>) -> Entry {
        Entry {
            protocol,
            from: "127.0.0.1:50000".parse().unwrap(),
            to: "127.0.0.1:8080".parse().unwrap(),
            led_to: led_to.map(|end| end.parse().unwrap()),
            masqueraded: led_to.is_some(),
            tcp_state,
            id: 1,
        }
    }

    fn udp(led_to: Option<&str>) -> Entry {
        flow(Protocol::Udp, 0, led_to)
    }

    fn fates(plans: &[Plan]) -> Fates {
        let mut history = History::default();
        let (last, others) = plans.split_last().unwrap();
        for plan in others {
            history.record(plan);
        }
        history.fates(others.last().unwrap_or(&Plan::default()), last)
    }

    fn dooms(fates: &Fates, entry: &Entry) -> bool {
        fates.doom(entry, &BTreeSet::from([Ipv4Addr::new(192, 168, 77, 1)]))
    }

    #[test]
    fn what_can_move_leaves_a_lost_backend() {
        let plan = |ends: &[&str]| plan(&[("127.0.0.1:8080/udp", ends), ("127.0.0.1:8080/tcp", ends)]);
        let fates = fates(&[plan(&[ONE, TWO]), plan(&[TWO])]);
        let connecting = |end| flow(Protocol::Tcp, SYN_SENT, Some(end));
        let connected = |end| flow(Protocol::Tcp, ESTABLISHED, Some(end));
        assert!(dooms(&fates, &udp(Some(ONE))) && dooms(&fates, &connecting(ONE)));
        assert!(!dooms(&fates, &udp(Some(TWO))) && !dooms(&fates, &connecting(TWO)));
        assert!(!dooms(&fates, &connected(ONE)) && !dooms(&fates, &udp(None)));
        // Somebody else's translation of the same destination.
        assert!(!dooms(&fates, &udp(Some("10.0.0.1:80"))));
    }

    #[test]
    fn a_closed_mapping_loses_what_it_ever_led() {
        let open = |ends: &[&str]| plan(&[("127.0.0.1:8080/tcp", ends)]);
        let fates = fates(&[open(&[ONE]), open(&[TWO]), plan(&[])]);
        for end in [ONE, TWO] {
            assert!(dooms(&fates, &flow(Protocol::Tcp, ESTABLISHED, Some(end))));
        }
        assert!(!dooms(&fates, &flow(Protocol::Tcp, ESTABLISHED, None)));
        assert!(!dooms(&fates, &udp(Some(ONE))));
        let elsewhere = Entry { to: "127.0.0.2:8080".parse().unwrap(), ..flow(Protocol::Tcp, ESTABLISHED, Some(ONE)) };
        assert!(!dooms(&fates, &elsewhere));
    }

    #[test]
    fn a_taken_mapping_takes_the_relays_datagrams_but_not_its_connections() {
        let taken = plan(&[("0.0.0.0:8080/udp", &[ONE]), ("0.0.0.0:8080/tcp", &[ONE])]);
        let fates = fates(&[taken]);
        assert!(dooms(&fates, &udp(None)) && dooms(&fates, &udp(Some(TWO))));
        assert!(!dooms(&fates, &udp(Some(ONE))));
        assert!(!dooms(&fates, &Entry { masqueraded: false, ..udp(Some(TWO)) }), "not led by a gate");
        assert!(!dooms(&fates, &flow(Protocol::Tcp, ESTABLISHED, None)));
    }

    #[test]
    fn a_mapping_of_all_addresses_takes_no_flow_to_another_machine() {
        let fates = fates(&[plan(&[("0.0.0.0:8080/udp", &[ONE])])]);
        let to = |address: &str, led_to| Entry { to: format!("{address}:8080").parse().unwrap(), ..udp(led_to) };
        for led_to in [None, Some(TWO)] {
            assert!(dooms(&fates, &to("192.168.77.1", led_to)) && dooms(&fates, &to("127.9.9.9", led_to)));
            assert!(!dooms(&fates, &to("172.18.0.9", led_to)) && !dooms(&fates, &to("8.8.8.8", led_to)));
        }
    }

    #[test]
    fn what_does_not_change_has_no_fate() {
        let same = || plan(&[("127.0.0.1:8080/udp", &[ONE])]);
        assert!(fates(&[same(), same()]).is_empty());
    }
}
