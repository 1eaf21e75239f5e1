//! The rules of a gate: they depend on where it runs, and on whether it needs routes; what mappings there are is in sets.

use std::fmt;

use crate::elements::{Elements, Purpose, Set};
use crate::identity::{Identity, Place};
use crate::listing::Listing;
use crate::statement::Direction::{Original, Reply};
use crate::statement::Source::{Flow, Packet};
use crate::statement::Statement;
use crate::statement::Statement::{
    Accept, DestinationLoopback, DestinationNotLocal, Drop, From, FromSelf, Goes, In, Lead, Mark, Masquerade, NotFrom,
    NotTo, NotToSelf, Return, SourceLoopback, Translated,
};

/// Rules come before what Docker has at the same hook for the packets of processes on the host
/// (`NF_IP_PRI_NAT_DST`, -100): what is mapped is ours, and a port that Docker publishes cannot be mapped.
const BEFORE_DESTINATION_NAT: i32 = -101;
/// `NF_IP_PRI_NAT_DST` of `linux/netfilter_ipv4.h`.
const DESTINATION_NAT: i32 = -100;
/// Rules come before Docker's masquerading (`NF_IP_PRI_NAT_SRC`, 100), so that every flow is counted.
const BEFORE_SOURCE_NAT: i32 = 99;
/// `NF_IP_PRI_RAW`: before anything is translated, so addresses are those on the wire.
const RAW: i32 = -300;
/// `NF_IP_PRI_MANGLE`: after conntrack knows the flow, before it is translated and routed.
const MANGLE: i32 = -150;
/// `NF_IP_PRI_FILTER`.
const FILTER: i32 = 0;

/// A point on the way of a packet through the kernel, with the number that netfilter has for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// Packets that came in.
    Prerouting = 0,
    /// Packets of processes of this network.
    Output = 3,
    /// Packets that go out.
    Postrouting = 4,
}

/// What a chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any but what follows.
    Filter,
    /// Translate the addresses of a flow; it sees its first packet only.
    Nat,
    /// Have the packet routed again after a change.
    Route,
}

impl Kind {
    /// The name that the kernel has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }
}

/// Rules that packets pass at one point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its name, unique within the table.
    pub name: &'static str,
    /// What it may do.
    pub kind: Kind,
    /// Where it is.
    pub hook: Hook,
    /// Its turn among the chains at that hook: lower ones come first.
    pub priority: i32,
    /// Its rules, in order.
    pub rules: Vec<Vec<Statement>>,
}

/// All rules of a gate, and the sets that they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruleset {
    /// Whose they are.
    pub identity: Identity,
    /// Its sets and maps.
    pub sets: Vec<Set>,
    /// Its chains.
    pub chains: Vec<Chain>,
    /// The chains that are there only while a mapping needs the gate's own routes: all packets within the host pass one.
    pub routing: Vec<Chain>,
}

impl Ruleset {
    /// The rules of this gate in this place.
    pub fn new(identity: Identity, place: &Place) -> Self {
        let mark = identity.mark();
        let (exact, chains, routing) = match place {
            Place::Host { bridge } => (true, host(bridge), host_routing(bridge, mark)),
            Place::Container => (false, container(), container_routing(mark)),
        };
        let scopes = if exact { &[false, true][..] } else { &[true][..] };
        let purposes = [Purpose::One, Purpose::Many, Purpose::Flows, Purpose::Sent, Purpose::Received, Purpose::Routed];
        let sets = scopes.iter().flat_map(|any| purposes.map(|purpose| Set { any: *any, purpose })).collect();
        Self { identity, sets, chains, routing }
    }

    /// The chains that a table with these elements has.
    pub fn chains(&self, elements: &Elements) -> impl Iterator<Item = &Chain> {
        let routing = if elements.are_routed() { self.routing.as_slice() } else { &[] };
        self.chains.iter().chain(routing)
    }

    /// The whole table in nft syntax, as `nft list table` prints it.
    pub fn with<'a>(&'a self, elements: &'a Elements) -> impl fmt::Display + 'a {
        Listing::new(self, elements)
    }
}

const fn exact(purpose: Purpose) -> Set {
    Set { any: false, purpose }
}

const fn any(purpose: Purpose) -> Set {
    Set { any: true, purpose }
}

/// With `route_localnet` the bridge accepts packets from and to 127.0.0.0/8 from the wire. A container must not reach the
/// host's loopback by it, nor speak as if it were there. What the kernel path leads has the bridge's address.
///
/// It is in the gate's table, where nobody can flush it while the gate runs, and in one that outlives the gate.
pub(crate) fn guard(bridge: &str) -> Chain {
    let rules = [DestinationLoopback, SourceLoopback].map(|what| vec![From(bridge.to_owned()), what, Drop]);
    Chain { name: "guard", kind: Kind::Filter, hook: Hook::Prerouting, priority: RAW, rules: rules.into() }
}

/// The chains of a gate in the host's network. Each begins with the one comparison that the host's other packets pay.
fn host(bridge: &str) -> Vec<Chain> {
    let bridge = || bridge.to_owned();
    let lead = [exact(Purpose::One), any(Purpose::One), exact(Purpose::Many), any(Purpose::Many)];
    let lead = [vec![NotToSelf, Return]].into_iter().chain(lead.map(|set| vec![Lead(set)])).collect();
    // A front without an address may be that of an other's flow too, which does not begin on the host.
    let flows = vec![
        vec![NotTo(bridge()), Return],
        vec![Translated, In(Flow, exact(Purpose::Flows)), Masquerade],
        vec![Translated, FromSelf, In(Flow, any(Purpose::Flows)), Masquerade],
    ];
    // What is translated and of our fronts goes to the bridge in its original direction only.
    let count = |other_way, purpose| {
        vec![
            vec![other_way, Return],
            vec![Translated, In(Flow, exact(purpose)), Accept],
            vec![Translated, In(Flow, any(purpose))],
        ]
    };
    let sent = count(NotTo(bridge()), Purpose::Sent);
    let received = count(NotFrom(bridge()), Purpose::Received);
    vec![
        guard(&bridge()),
        Chain { name: "lead", kind: Kind::Nat, hook: Hook::Output, priority: BEFORE_DESTINATION_NAT, rules: lead },
        Chain { name: "sent", kind: Kind::Filter, hook: Hook::Postrouting, priority: FILTER, rules: sent },
        Chain { name: "flows", kind: Kind::Nat, hook: Hook::Postrouting, priority: BEFORE_SOURCE_NAT, rules: flows },
        Chain { name: "received", kind: Kind::Filter, hook: Hook::Prerouting, priority: MANGLE, rules: received },
    ]
}

fn host_routing(bridge: &str, mark: u32) -> Vec<Chain> {
    let there = vec![
        vec![NotToSelf, Return],
        vec![In(Packet, exact(Purpose::Routed)), Mark(mark)],
        vec![In(Packet, any(Purpose::Routed)), Mark(mark)],
    ];
    // The reverse path filter looks for the way back to a backend: it is in the gate's own routes.
    let back = vec![
        vec![NotFrom(bridge.to_owned()), Return],
        vec![Translated, In(Flow, exact(Purpose::Routed)), Mark(mark)],
        vec![Translated, In(Flow, any(Purpose::Routed)), Mark(mark)],
    ];
    vec![
        Chain { name: "there", kind: Kind::Route, hook: Hook::Output, priority: MANGLE, rules: there },
        Chain { name: "back", kind: Kind::Filter, hook: Hook::Prerouting, priority: MANGLE, rules: back },
    ]
}

/// The chains of a gate in a container's network, where there is nobody else.
fn container() -> Vec<Chain> {
    let lead = vec![vec![DestinationNotLocal, Return], vec![Lead(any(Purpose::One))], vec![Lead(any(Purpose::Many))]];
    let sent = vec![vec![Translated, Goes(Original), In(Flow, any(Purpose::Sent))]];
    let flows = vec![vec![Translated, In(Flow, any(Purpose::Flows)), Masquerade]];
    let received = vec![vec![Translated, Goes(Reply), In(Flow, any(Purpose::Received))]];
    vec![
        Chain { name: "lead", kind: Kind::Nat, hook: Hook::Prerouting, priority: DESTINATION_NAT, rules: lead },
        Chain { name: "sent", kind: Kind::Filter, hook: Hook::Postrouting, priority: FILTER, rules: sent },
        Chain { name: "flows", kind: Kind::Nat, hook: Hook::Postrouting, priority: BEFORE_SOURCE_NAT, rules: flows },
        Chain { name: "received", kind: Kind::Filter, hook: Hook::Prerouting, priority: MANGLE, rules: received },
    ]
}

/// Both directions: one to find the way, the other to satisfy the reverse path filter.
fn container_routing(mark: u32) -> Vec<Chain> {
    let rules = vec![vec![In(Flow, any(Purpose::Routed)), Mark(mark)]];
    vec![Chain { name: "there", kind: Kind::Filter, hook: Hook::Prerouting, priority: MANGLE, rules }]
}
