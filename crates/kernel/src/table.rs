//! The nftables table in the kernel.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;

use netlink_bindings::consts::{NLM_F_APPEND, NLM_F_CREATE};
use netlink_bindings::nftables::{
    Nfgenmsg, OpBatchBeginDo, OpDelruleDo, OpGetchainDump, OpGetgenDo, OpGetruleDump, OpGetsetelemDump, OpGettableDo,
    OpGettableDump, OpNewchainDo, OpNewruleDo, OpNewsetDo, OpNewsetelemDo, OpNewtableDo, PushSetelemListElemAttrs,
    TableFlags,
};
use netlink_bindings::traits::Pusher;

use crate::elements::{Elements, Key, Set, data_bytes};
use crate::encode::{Expressions, IPV4};
use crate::ruleset::{Chain, Ruleset};
use crate::socket::{Family, Message, Refused, Socket};
use crate::statement::Statement;

/// `NFNL_SUBSYS_NFTABLES`, `NFNL_MSG_BATCH_BEGIN` and `_END` of linux/netfilter/nfnetlink.h.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;

/// `enum nf_tables_msg_types` of `linux/netfilter/nf_tables.h`.
const NEW_TABLE: u16 = 0;
const GET_TABLE: u16 = 1;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const GET_CHAIN: u16 = 4;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;
const NEW_SET: u16 = 9;
const NEW_ELEMENT: u16 = 12;
const GET_ELEMENT: u16 = 13;
const DELETE_ELEMENT: u16 = 14;
const GET_GENERATION: u16 = 16;

/// `NFT_SET_MAP`.
const SET_MAP: u32 = 8;

/// Elements in one message: its list is one attribute, of 65,535 bytes at most, and an element takes up to 64.
const ELEMENTS_AT_ONCE: usize = 512;

/// nft's own numbers for the types of keys, which it prints (`enum datatypes` of its include/datatype.h); the kernel keeps
/// them only. Those of a concatenation's parts have six bits each.
const IPV4_ADDR: u32 = 7;
const INET_PROTO: u32 = 12;
const INET_SERVICE: u32 = 13;
const MARK: u32 = 19;

/// What an element counted: packets, and their bytes with the headers of IP.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
}

/// By what a table is known again: the kernel's handle, never used twice, and how many chains, sets and rules it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    handle: u64,
    uses: u32,
    rules: usize,
}

/// A state of all nftables of a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Generation(u32);

/// One table, and the socket that may own it.
#[derive(Debug)]
pub(crate) struct TableSocket {
    socket: Socket,
    name: String,
}

impl TableSocket {
    pub(crate) fn open(name: &str) -> Result<Self, Refused> {
        Ok(Self { socket: Socket::open(Family::Netfilter)?, name: name.to_owned() })
    }

    /// Whether there are nftables, and this process may use them.
    pub(crate) fn probe(&mut self) -> Result<(), Refused> {
        self.generation().map(|_| ())
    }

    /// A number that each change of the network's nftables raises, whoever makes it.
    pub(crate) fn generation(&mut self) -> Result<Option<Generation>, Refused> {
        let message =
            message("use nftables", GET_GENERATION, 0, |body| drop(OpGetgenDo::encode_request(body, &header())));
        let answer = self.socket.get(&message)?;
        Ok(answer.and_then(|answer| OpGetgenDo::decode_request(&answer).1.get_id().ok()).map(Generation))
    }

    /// The names of all tables of the family `ip` in the network.
    pub(crate) fn tables(&mut self) -> Result<Vec<String>, Refused> {
        let request =
            message("list tables", GET_TABLE, 0, |body| drop(OpGettableDump::encode_request(body, &header())));
        let name =
            |answer: &[u8]| Some(OpNewtableDo::decode_request(answer).1.get_name().ok()?.to_str().ok()?.to_owned());
        self.socket.dump(&request, name)
    }

    /// Whether the table belongs to the socket of a process that runs.
    pub(crate) fn has_owner(&mut self) -> Result<bool, Refused> {
        let table = self.get()?;
        Ok(table.is_some_and(|table| OpNewtableDo::decode_request(&table).1.get_owner().is_ok()))
    }

    /// The names of the table's chains.
    pub(crate) fn chains(&mut self) -> Result<BTreeSet<String>, Refused> {
        let request =
            message("list chains", GET_CHAIN, 0, |body| drop(OpGetchainDump::encode_request(body, &header())));
        let name = |answer: &[u8]| {
            let chain = OpNewchainDo::decode_request(answer).1;
            let ours = chain.get_table().ok()?.to_bytes() == self.name.as_bytes();
            ours.then_some(chain.get_name().ok()?.to_str().ok()?.to_owned())
        };
        Ok(self.socket.dump(&request, name)?.into_iter().collect())
    }

    /// Makes the table with this content, in the place of one that is there.
    pub(crate) fn create(&mut self, ruleset: &Ruleset, elements: &Elements, owned: bool) -> Result<(), Refused> {
        // "Delete if it exists" has been known since Linux 6.3 only.
        let mut messages = if self.get()?.is_some() { vec![self.delete_table()] } else { Vec::new() };
        messages.push(self.new_table(owned));
        messages.extend(ruleset.sets.iter().zip(1..).map(|(set, id)| self.new_set(*set, id)));
        messages.extend(ruleset.chains(elements).flat_map(|chain| self.new_chain_with_rules(chain)));
        messages.extend(self.elements("add elements", NEW_ELEMENT, NLM_F_CREATE, elements));
        self.batch(&messages)
    }

    /// Removes the table, if there is one.
    pub(crate) fn delete(&mut self) -> Result<(), Refused> {
        if self.get()?.is_some() { self.batch(&[self.delete_table()]) } else { Ok(()) }
    }

    /// As [`TableSocket::delete`]; fails with `RESTART` if anybody has changed nftables since that generation.
    pub(crate) fn delete_unless_changed(&mut self, since: Option<Generation>) -> Result<(), Refused> {
        if self.get()?.is_some() { self.batch_since(since, &[self.delete_table()]) } else { Ok(()) }
    }

    /// Leads from one content to another, as a whole or not at all. Returns whether there are other chains now.
    pub(crate) fn change(&mut self, ruleset: &Ruleset, from: &Elements, to: &Elements) -> Result<bool, Refused> {
        let change = from.change_to(to);
        let mut messages = self.elements("delete elements", DELETE_ELEMENT, 0, &change.removed);
        messages.extend(self.elements("add elements", NEW_ELEMENT, NLM_F_CREATE, &change.added));
        match (from.are_routed(), to.are_routed()) {
            (false, true) => messages.extend(ruleset.routing.iter().flat_map(|chain| self.new_chain_with_rules(chain))),
            (true, false) => messages.extend(ruleset.routing.iter().map(|chain| self.delete_chain(chain.name))),
            _ => {}
        }
        self.batch(&messages)?;
        Ok(from.are_routed() != to.are_routed())
    }

    /// The table as it is now; `None` if there is none.
    pub(crate) fn shape(&mut self) -> Result<Option<Shape>, Refused> {
        let Some(table) = self.get()? else { return Ok(None) };
        let rules = self.rules()?;
        let (handle, uses) = handle_and_uses(&table);
        Ok(Some(Shape { handle, uses, rules }))
    }

    /// How many rules the table has.
    pub(crate) fn rules(&mut self) -> Result<usize, Refused> {
        let request = message("list rules", GET_RULE, 0, |body| {
            drop(OpGetruleDump::encode_request(body, &header()).push_table_bytes(self.name.as_bytes()));
        });
        Ok(self.socket.dump(&request, |_| Some(()))?.len())
    }

    /// What each element of a set counted, by the bytes of its key.
    pub(crate) fn counts(&mut self, set: Set) -> Result<Vec<(Vec<u8>, Count)>, Refused> {
        let request = message("list elements", GET_ELEMENT, 0, |body| {
            let list = OpGetsetelemDump::encode_request(body, &header()).push_table_bytes(self.name.as_bytes());
            drop(list.push_set_bytes(set.to_string().as_bytes()));
        });
        Ok(self.socket.dump(&request, counted)?.into_iter().flatten().collect())
    }

    fn get(&mut self) -> Result<Option<Vec<u8>>, Refused> {
        let request = message("look for the table", GET_TABLE, 0, |body| {
            drop(OpGettableDo::encode_request(body, &header()).push_name_bytes(self.name.as_bytes()));
        });
        self.socket.get(&request)
    }

    /// Does all of these, or nothing.
    pub(crate) fn batch(&mut self, messages: &[Message]) -> Result<(), Refused> {
        self.batch_since(None, messages)
    }

    fn batch_since(&mut self, since: Option<Generation>, messages: &[Message]) -> Result<(), Refused> {
        let mut about = header();
        about.nfgen_family = 0;
        about.set_res_id(SUBSYSTEM);
        let enclosing = |kind, since: Option<Generation>| {
            let mut body = Vec::new();
            let batch = OpBatchBeginDo::encode_request(&mut body, &about);
            match since {
                Some(Generation(id)) => drop(batch.push_genid(id)),
                None => drop(batch),
            }
            Message { operation: "change nftables", kind, flags: 0, body }
        };
        self.socket.batch(&enclosing(BATCH_BEGIN, since), messages, &enclosing(BATCH_END, None))
    }

    // table ip NAME { flags owner; }
    pub(crate) fn new_table(&self, owned: bool) -> Message {
        message("add the table", NEW_TABLE, NLM_F_CREATE, |body| {
            let table = OpNewtableDo::encode_request(body, &header()).push_name_bytes(self.name.as_bytes());
            drop(table.push_flags(if owned { TableFlags::Owner as u32 } else { 0 }));
        })
    }

    fn delete_table(&self) -> Message {
        message("delete the table", DELETE_TABLE, 0, |body| {
            drop(OpGettableDo::encode_request(body, &header()).push_name_bytes(self.name.as_bytes()));
        })
    }

    // map one { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
    // set sent { type ipv4_addr . inet_proto . inet_service; counter; }
    fn new_set(&self, set: Set, id: u32) -> Message {
        message("add a set", NEW_SET, NLM_F_CREATE, |body| {
            let front = if set.any { &[][..] } else { &[IPV4_ADDR] };
            let slot = if set.purpose == crate::elements::Purpose::Many { &[MARK][..] } else { &[] };
            let (kind, length) = concatenation(&[front, &[INET_PROTO, INET_SERVICE], slot].concat());
            let mut attributes = OpNewsetDo::encode_request(body, &header())
                .push_table_bytes(self.name.as_bytes())
                .push_name_bytes(set.to_string().as_bytes())
                .push_flags(if set.is_map() { SET_MAP } else { 0 })
                .push_key_type(kind)
                .push_key_len(length)
                .push_id(id);
            if set.is_map() {
                let (kind, length) = concatenation(&[IPV4_ADDR, INET_SERVICE]);
                attributes = attributes.push_data_type(kind).push_data_len(length);
            }
            if set.counts() {
                attributes = attributes.nested_expr().nested_data_counter().end_nested().end_nested();
            }
            drop(attributes);
        })
    }

    // chain lead { type nat hook output priority -101; policy accept; }
    pub(crate) fn new_chain(&self, chain: &Chain) -> Message {
        message("add a chain", NEW_CHAIN, NLM_F_CREATE, |body| {
            let attributes = OpNewchainDo::encode_request(body, &header())
                .push_table_bytes(self.name.as_bytes())
                .push_name_bytes(chain.name.as_bytes());
            let hook = attributes.nested_hook().push_num(chain.hook as u32).push_priority(chain.priority);
            drop(hook.end_nested().push_type_bytes(chain.kind.name().as_bytes()));
        })
    }

    // chain NAME { }
    pub(crate) fn new_label(&self, name: &str) -> Message {
        message("add a chain", NEW_CHAIN, NLM_F_CREATE, |body| {
            let attributes = OpNewchainDo::encode_request(body, &header()).push_table_bytes(self.name.as_bytes());
            drop(attributes.push_name_bytes(name.as_bytes()));
        })
    }

    // flush chain ip TABLE NAME
    pub(crate) fn flush_chain(&self, name: &str) -> Message {
        message("delete rules", DELETE_RULE, 0, |body| {
            let attributes = OpDelruleDo::encode_request(body, &header()).push_table_bytes(self.name.as_bytes());
            drop(attributes.push_chain_bytes(name.as_bytes()));
        })
    }

    pub(crate) fn new_chain_with_rules(&self, chain: &Chain) -> Vec<Message> {
        let rules = chain.rules.iter().map(|rule| self.new_rule(chain, rule));
        [self.new_chain(chain)].into_iter().chain(rules).collect()
    }

    /// Its rules go with it.
    pub(crate) fn delete_chain(&self, name: &str) -> Message {
        message("delete a chain", DELETE_CHAIN, 0, |body| {
            let attributes = OpNewchainDo::encode_request(body, &header()).push_table_bytes(self.name.as_bytes());
            drop(attributes.push_name_bytes(name.as_bytes()));
        })
    }

    fn new_rule(&self, chain: &Chain, rule: &[Statement]) -> Message {
        message("add a rule", NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, |body| {
            let attributes = OpNewruleDo::encode_request(body, &header())
                .push_table_bytes(self.name.as_bytes())
                .push_chain_bytes(chain.name.as_bytes());
            let mut expressions = Expressions::new(attributes.nested_expressions());
            for statement in rule {
                expressions.push(statement);
            }
        })
    }

    fn elements(&self, operation: &'static str, kind: u16, flags: i32, elements: &Elements) -> Vec<Message> {
        let mut messages = Vec::new();
        for (set, content) in elements.sets() {
            for part in content.chunks(ELEMENTS_AT_ONCE) {
                messages.push(message(operation, kind, flags, |body| {
                    let attributes = OpNewsetelemDo::encode_request(body, &header())
                        .push_table_bytes(self.name.as_bytes())
                        .push_set_bytes(set.to_string().as_bytes());
                    let list = attributes.nested_elements();
                    drop(part.iter().fold(list, |list, (key, data)| push_element(list, key, *data)));
                }));
            }
        }
        messages
    }
}

fn push_element<Prev: Pusher>(
    list: PushSetelemListElemAttrs<Prev>,
    key: &Key,
    data: Option<SocketAddrV4>,
) -> PushSetelemListElemAttrs<Prev> {
    let element = list.nested_elem().nested_key().push_value(&key.bytes()).end_nested();
    match data {
        Some(address) => element.nested_data().push_value(&data_bytes(address)).end_nested(),
        None => element,
    }
    .end_nested()
}

/// A table's handle, and how many chains, sets and rules it has.
pub(crate) fn handle_and_uses(answer: &[u8]) -> (u64, u32) {
    let table = OpNewtableDo::decode_request(answer).1;
    (table.get_handle().unwrap_or_default(), table.get_use().unwrap_or_default())
}

pub(crate) fn counted(answer: &[u8]) -> Option<Vec<(Vec<u8>, Count)>> {
    let elements = OpNewsetelemDo::decode_request(answer).1.get_elements().ok()?;
    let counted = elements.get_elem().filter_map(|element| {
        let key = element.get_key().ok()?.get_value().ok()?.to_vec();
        let netlink_bindings::nftables::ExprOps::Counter(counter) = element.get_expr().ok()?.get_data().ok()? else {
            return None;
        };
        let count = Count { packets: counter.get_packets().ok()?, bytes: counter.get_bytes().ok()? };
        Some((key, count))
    });
    Some(counted.collect())
}

/// Type and length of a key of these parts.
fn concatenation(parts: &[u32]) -> (u32, u32) {
    parts.iter().fold((0, 0), |(kind, length), part| (kind << 6 | part, length + 4))
}

fn header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.nfgen_family = IPV4;
    header
}

fn message(operation: &'static str, kind: u16, flags: i32, write: impl FnOnce(&mut Vec<u8>)) -> Message {
    let kind = SUBSYSTEM << 8 | kind;
    let mut body = Vec::new();
    write(&mut body);
    Message { operation, kind, flags, body }
}
