//! Routes to backends that have no address on the cluster's Docker network, in a routing table of the gate's own.
//!
//! Two clusters may have the same addresses within, so their routes cannot be in the one table of the host: packets
//! choose by their firewall mark.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use netlink_bindings::consts::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_bindings::{rt_addr, rt_route, rt_rule};
use rustix::io::Errno;

use crate::encode::IPV4;
use crate::mark::MarkRule;
use crate::socket::{Family, Message, Refused, Socket};

/// `enum` of linux/rtnetlink.h.
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_RULE: u16 = 32;
const DELETE_RULE: u16 = 33;
const GET_RULE: u16 = 34;

/// `RTN_UNICAST`, `RT_SCOPE_UNIVERSE`, `RTNH_F_ONLINK` and `FR_ACT_TO_TBL`.
const UNICAST: u8 = 1;
const UNIVERSE: u8 = 0;
const ONLINK: u32 = 4;
const TO_TABLE: u8 = 1;

/// `FIB_RULE_INVERT` of `linux/fib_rules.h`: the rule is for all packets but those that it describes.
const INVERTED: u32 = 2;

/// Who made a rule or route: a number that no routing daemon has (`RTPROT_*`, and iproute2's `rt_protos`).
const MADE_BY_PORTGATE: u8 = 0x70;

/// The turn of the gate's rule among the rules of the host: before those of VPNs, that lead all else elsewhere. Only
/// packets with the gate's mark notice it.
const PRIORITY: u32 = 1070;

/// The rule and the routes of one gate.
#[derive(Debug)]
pub(crate) struct Routes {
    socket: Socket,
    /// Firewall mark and routing table.
    mark: u32,
    /// The interface to the nodes; `None` where the nodes' own addresses say it.
    interface: Option<u32>,
}

impl Routes {
    pub(crate) fn open(mark: u32, interface: Option<u32>) -> Result<Self, Refused> {
        Ok(Self { socket: Socket::open(Family::Route)?, mark, interface })
    }

    /// From now on with this mark.
    pub(crate) fn mark_with(&mut self, mark: u32) {
        self.mark = mark;
    }

    /// The routing rules of others that are for marks.
    pub(crate) fn rules_of_others(&mut self) -> Result<Vec<MarkRule>, Refused> {
        let mut body = Vec::new();
        let mut header = rt_rule::FibRuleHdr::new();
        header.family = IPV4;
        drop(rt_rule::OpGetruleDump::encode_request(&mut body, &header));
        let message = Message { operation: "list routing rules", kind: GET_RULE, flags: 0, body };
        let rule = |answer: &[u8]| {
            let (header, rule) = rt_rule::OpNewruleDo::decode_request(answer);
            let is_others = header.flags & INVERTED == 0 && rule.get_protocol().ok() != Some(MADE_BY_PORTGATE);
            let mask = rule.get_fwmask().unwrap_or(u32::MAX);
            is_others.then_some(MarkRule { mark: rule.get_fwmark().ok()?, mask })
        };
        self.socket.dump(&message, rule)
    }

    /// The IPv4 addresses of this network.
    pub(crate) fn addresses(&mut self) -> Result<BTreeSet<Ipv4Addr>, Refused> {
        let mut body = Vec::new();
        let mut header = rt_addr::Ifaddrmsg::new();
        header.ifa_family = IPV4;
        drop(rt_addr::OpGetaddrDump::encode_request(&mut body, &header));
        let message = Message { operation: "list addresses", kind: GET_ADDRESS, flags: 0, body };
        let address = |answer: &[u8]| match rt_addr::OpNewaddrDo::decode_request(answer).1.get_local() {
            Ok(IpAddr::V4(address)) => Some(address),
            _ => None,
        };
        Ok(self.socket.dump(&message, address)?.into_iter().collect())
    }

    /// The interface to the nodes was made anew.
    pub(crate) fn through(&mut self, interface: Option<u32>) {
        self.interface = interface;
    }

    /// Makes the routes that are missing, each from a backend to its router, and the rule if there is any route.
    /// Returns whether one was missing.
    pub(crate) fn add(&mut self, routes: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> Result<bool, Refused> {
        if routes.is_empty() {
            return Ok(false);
        }
        let present = self.present(&[self.mark])?;
        let mut added = false;
        for (to, via) in routes.iter().filter(|(to, via)| present.get(&(self.mark, **to)) != Some(*via)) {
            let flags = NLM_F_CREATE | NLM_F_REPLACE;
            self.socket.request(&self.route("add a route", NEW_ROUTE, flags, (self.mark, *to), Some(*via)))?;
            added = true;
        }
        let rule = rule("add the routing rule", NEW_RULE, NLM_F_CREATE | NLM_F_EXCL, self.mark);
        match self.socket.request(&rule) {
            Ok(()) => Ok(true),
            Err(refused) if refused.errno == Errno::EXIST => Ok(added),
            Err(refused) => Err(refused),
        }
    }

    /// Removes all routes but these, and the rule if there are none.
    pub(crate) fn retain(&mut self, routes: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> Result<(), Refused> {
        if routes.is_empty() {
            return self.clear(&[self.mark]);
        }
        for (mark, to) in self.present(&[self.mark])?.into_keys().filter(|(_, to)| !routes.contains_key(to)) {
            self.delete(&self.route("delete a route", DELETE_ROUTE, 0, (mark, to), None))?;
        }
        Ok(())
    }

    /// Removes the rules and routes of all these marks.
    pub(crate) fn clear(&mut self, marks: &[u32]) -> Result<(), Refused> {
        for mark in marks {
            while self.delete(&rule("delete the routing rule", DELETE_RULE, 0, *mark))? {}
        }
        for key in self.present(marks)?.into_keys() {
            self.delete(&self.route("delete a route", DELETE_ROUTE, 0, key, None))?;
        }
        Ok(())
    }

    /// The routes in the tables of these marks, by mark and backend.
    fn present(&mut self, marks: &[u32]) -> Result<BTreeMap<(u32, Ipv4Addr), Ipv4Addr>, Refused> {
        let mut body = Vec::new();
        drop(rt_route::OpGetrouteDump::encode_request(&mut body, &header(0)));
        let ours = |answer: &[u8]| {
            let (mark, (to, via)) = decoded(answer).filter(|(table, _)| marks.contains(table))?;
            Some(((mark, to), via))
        };
        let message = Message { operation: "list routes", kind: GET_ROUTE, flags: 0, body };
        Ok(self.socket.dump(&message, ours)?.into_iter().collect())
    }

    /// Returns whether there was something to delete.
    fn delete(&mut self, message: &Message) -> Result<bool, Refused> {
        match self.socket.request(message) {
            Ok(()) => Ok(true),
            Err(refused) if matches!(refused.errno, Errno::NOENT | Errno::SRCH) => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    // ip route replace TO via VIA dev BRIDGE onlink table MARK proto 112
    fn route(
        &self,
        operation: &'static str,
        kind: u16,
        flags: i32,
        (mark, to): (u32, Ipv4Addr),
        via: Option<Ipv4Addr>,
    ) -> Message {
        let mut header = header(32);
        header.rtm_protocol = MADE_BY_PORTGATE;
        header.rtm_scope = UNIVERSE;
        header.rtm_type = UNICAST;
        if via.is_some() && self.interface.is_some() {
            header.rtm_flags = ONLINK;
        }
        let mut body = Vec::new();
        let mut route =
            rt_route::OpNewrouteDo::encode_request(&mut body, &header).push_table(mark).push_dst(IpAddr::V4(to));
        if let Some(via) = via {
            route = route.push_gateway(IpAddr::V4(via));
            if let Some(interface) = self.interface {
                route = route.push_oif(interface);
            }
        }
        drop(route);
        Message { operation, kind, flags, body }
    }
}

// ip rule add fwmark MARK lookup MARK priority 1070 proto 112
fn rule(operation: &'static str, kind: u16, flags: i32, mark: u32) -> Message {
    let mut header = rt_rule::FibRuleHdr::new();
    header.family = IPV4;
    header.action = TO_TABLE;
    let mut body = Vec::new();
    let rule = rt_rule::OpNewruleDo::encode_request(&mut body, &header).push_priority(PRIORITY);
    let rule = rule.push_fwmark(mark).push_fwmask(u32::MAX);
    drop(rule.push_table(mark).push_protocol(MADE_BY_PORTGATE));
    Message { operation, kind, flags, body }
}

/// A route's table, its destination and its gateway; `None` for what is not IPv4.
pub(crate) fn decoded(answer: &[u8]) -> Option<(u32, (Ipv4Addr, Ipv4Addr))> {
    let route = rt_route::OpNewrouteDo::decode_request(answer).1;
    let IpAddr::V4(to) = route.get_dst().ok()? else { return None };
    let via = match route.get_gateway() {
        Ok(IpAddr::V4(via)) => via,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    Some((route.get_table().ok()?, (to, via)))
}

fn header(prefix: u8) -> rt_route::Rtmsg {
    let mut header = rt_route::Rtmsg::new();
    header.rtm_family = IPV4;
    header.rtm_dst_len = prefix;
    header
}
