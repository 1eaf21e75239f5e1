//! Statements as the expressions that the kernel has for them. The nft syntax of each is in [`Statement`]'s `Display`.

use std::ffi::CStr;

use netlink_bindings::nftables::{
    CmpOps, CtDirection, CtKeys, FibFlags, MetaKeys, NumgenTypes, PayloadBase, PushExprAttrs, PushExprListAttrs,
    Registers, VerdictCode,
};
use netlink_bindings::traits::Pusher;
use netlink_bindings::utils::{finalize_nested_header, push_header, push_nested_header};

use crate::elements::{Purpose, Set};
use crate::plan::SLOTS;
use crate::statement::{Direction, Source, Statement};

/// `NFTA_EXPR_DATA` of `linux/netfilter/nf_tables.h`.
const EXPR_DATA: u16 = 2;
/// `NFTA_LOOKUP_SET`, `_SREG` and `_DREG`.
const LOOKUP_SET: u16 = 1;
const LOOKUP_SREG: u16 = 2;
const LOOKUP_DREG: u16 = 3;
/// `NFT_NAT_DNAT`.
const NAT_DNAT: u32 = 1;
/// `NFPROTO_IPV4` of linux/netfilter.h.
pub(crate) const IPV4: u8 = 2;
/// `NFT_FIB_RESULT_ADDRTYPE`; netlink-bindings 0.3.5 has another number for it.
const FIB_ADDRESS_TYPE: u32 = 3;
/// `RTN_LOCAL` of linux/rtnetlink.h.
const LOCAL: u32 = 2;
/// `IPS_DST_NAT` of `linux/netfilter/nf_conntrack_common.h`.
const TRANSLATED: u32 = 1 << 5;
/// Where IPv4's header has the addresses.
const SOURCE: u32 = 12;
const DESTINATION: u32 = 16;
/// `IFNAMSIZ` of linux/if.h.
const INTERFACE_NAME: usize = 16;
/// The index of `lo`, the same in every network: `LOOPBACK_IFINDEX` of net/flow.h.
const LO: u32 = 1;
/// The registers of four bytes, in which the parts of a key lie side by side.
const REGISTER: u32 = Registers::Reg3200 as u32;

/// Writes the expressions of a rule.
pub(crate) struct Expressions<Prev: Pusher>(Option<PushExprListAttrs<Prev>>);

impl<Prev: Pusher> Expressions<Prev> {
    pub(crate) fn new(list: PushExprListAttrs<Prev>) -> Self {
        Self(Some(list))
    }

    pub(crate) fn push(&mut self, statement: &Statement) {
        match statement {
            Statement::From(interface) => self.compare_name(MetaKeys::Iifname, CmpOps::Eq, interface),
            Statement::NotFrom(interface) => self.compare_name(MetaKeys::Iifname, CmpOps::Neq, interface),
            Statement::NotTo(interface) => self.compare_name(MetaKeys::Oifname, CmpOps::Neq, interface),
            Statement::NotToSelf => {
                self.meta(MetaKeys::Oif, REGISTER);
                self.compare(CmpOps::Neq, &LO.to_ne_bytes());
            }
            Statement::FromSelf => {
                self.meta(MetaKeys::Iif, REGISTER);
                self.compare(CmpOps::Eq, &0_u32.to_ne_bytes());
            }
            Statement::DestinationNotLocal => self.destination_not_local(),
            Statement::DestinationLoopback => self.loopback(DESTINATION),
            Statement::SourceLoopback => self.loopback(SOURCE),
            Statement::Translated => {
                self.ct(CtKeys::Status, None, REGISTER);
                self.mask(TRANSLATED);
                self.compare(CmpOps::Neq, &0_u32.to_ne_bytes());
            }
            Statement::Goes(direction) => {
                self.ct(CtKeys::Direction, None, REGISTER);
                let direction = match direction {
                    Direction::Original => CtDirection::Original,
                    Direction::Reply => CtDirection::Reply,
                };
                self.compare(CmpOps::Eq, &[direction as u8]);
            }
            Statement::In(source, set) => {
                self.key(*source, *set);
                self.lookup(*set, false);
            }
            Statement::Lead(set) => {
                self.key(Source::Packet, *set);
                self.lookup(*set, true);
                self.dnat();
            }
            Statement::Masquerade => self.masquerade(),
            Statement::Mark(mark) => self.set_mark(*mark),
            Statement::Drop => self.verdict(VerdictCode::Drop),
            Statement::Accept => self.verdict(VerdictCode::Accept),
            Statement::Return => self.verdict(VerdictCode::Return),
        }
    }

    fn add(&mut self, write: impl FnOnce(PushExprAttrs<PushExprListAttrs<Prev>>) -> PushExprListAttrs<Prev>) {
        self.0 = self.0.take().map(|list| write(list.nested_elem()));
    }

    /// The parts of a set's key, side by side from the first register.
    fn key(&mut self, source: Source, set: Set) {
        let mut register = REGISTER..;
        let mut next = || register.next().unwrap_or(REGISTER);
        let original = Some(CtDirection::Original);
        if !set.any {
            match source {
                Source::Packet => self.payload(PayloadBase::NetworkHeader, DESTINATION, 4, next()),
                Source::Flow => self.ct(CtKeys::DstIp, original, next()),
            }
        }
        self.meta(MetaKeys::L4Proto, next());
        match source {
            Source::Packet => self.payload(PayloadBase::TransportHeader, 2, 2, next()),
            Source::Flow => self.ct(CtKeys::ProtoDst, original, next()),
        }
        if set.purpose == Purpose::Many {
            self.random_slot(next());
        }
    }

    fn meta(&mut self, key: MetaKeys, register: u32) {
        self.add(|expr| expr.nested_data_meta().push_dreg(register).push_key(key as u32).end_nested().end_nested());
    }

    fn set_mark(&mut self, mark: u32) {
        self.add(|expr| {
            let data = expr.nested_data_immediate().push_dreg(REGISTER).nested_data();
            data.push_value(&mark.to_ne_bytes()).end_nested().end_nested().end_nested()
        });
        self.add(|expr| {
            expr.nested_data_meta().push_key(MetaKeys::Mark as u32).push_sreg(REGISTER).end_nested().end_nested()
        });
    }

    fn payload(&mut self, base: PayloadBase, offset: u32, length: u32, register: u32) {
        self.add(|expr| {
            let payload = expr.nested_data_payload().push_dreg(register).push_base(base as u32);
            payload.push_offset(offset).push_len(length).end_nested().end_nested()
        });
    }

    /// The address at this place of IPv4's header is in 127.0.0.0/8.
    fn loopback(&mut self, offset: u32) {
        self.payload(PayloadBase::NetworkHeader, offset, 1, REGISTER);
        self.compare(CmpOps::Eq, &[127]);
    }

    fn ct(&mut self, key: CtKeys, direction: Option<CtDirection>, register: u32) {
        self.add(|expr| {
            let ct = expr.nested_data_ct().push_dreg(register).push_key(key as u32);
            match direction {
                Some(direction) => ct.push_direction(direction as u8),
                None => ct,
            }
            .end_nested()
            .end_nested()
        });
    }

    /// `to_be`: netlink-bindings 0.3.5 writes this one register in the machine's byte order.
    fn random_slot(&mut self, register: u32) {
        self.add(|expr| {
            let numgen = expr.nested_data_numgen().push_dreg(register.to_be()).push_modulus(SLOTS);
            numgen.push_type(NumgenTypes::Random as u32).push_offset(0).end_nested().end_nested()
        });
    }

    fn destination_not_local(&mut self) {
        self.add(|expr| {
            let fib = expr.nested_data_fib().push_dreg(REGISTER).push_result(FIB_ADDRESS_TYPE);
            fib.push_flags(FibFlags::Daddr as u32).end_nested().end_nested()
        });
        self.compare(CmpOps::Neq, &LOCAL.to_ne_bytes());
    }

    fn mask(&mut self, mask: u32) {
        self.add(|expr| {
            let bitwise = expr.nested_data_bitwise().push_sreg(REGISTER).push_dreg(REGISTER).push_len(4);
            let masked = bitwise.nested_mask().push_value(&mask.to_ne_bytes()).end_nested();
            masked.nested_xor().push_value(&0_u32.to_ne_bytes()).end_nested().end_nested().end_nested()
        });
    }

    fn compare(&mut self, op: CmpOps, value: &[u8]) {
        self.add(|expr| {
            let cmp = expr.nested_data_cmp().push_sreg(REGISTER).push_op(op as u32);
            cmp.nested_data().push_value(value).end_nested().end_nested().end_nested()
        });
    }

    fn compare_name(&mut self, key: MetaKeys, op: CmpOps, interface: &str) {
        let mut name = interface.as_bytes().to_vec();
        name.resize(INTERFACE_NAME, 0);
        self.meta(key, REGISTER);
        self.compare(op, &name);
    }

    /// Written out: netlink-bindings 0.3.5 has other numbers for these attributes than `linux/netfilter/nf_tables.h`.
    fn lookup(&mut self, set: Set, with_data: bool) {
        self.custom(c"lookup", |body| {
            let name = set.to_string();
            push_header(body, LOOKUP_SET, u16::try_from(name.len() + 1).unwrap_or_default());
            body.extend(name.as_bytes());
            body.push(0);
            for register in [LOOKUP_SREG, LOOKUP_DREG].into_iter().take(1 + usize::from(with_data)) {
                push_header(body, register, 4);
                body.extend(REGISTER.to_be_bytes());
            }
        });
    }

    /// A map's data is an address, and a port in the register after it.
    fn dnat(&mut self) {
        self.add(|expr| {
            let nat = expr.nested_data_nat().push_type(NAT_DNAT).push_family(u32::from(IPV4));
            nat.push_reg_addr_min(REGISTER).push_reg_proto_min(REGISTER + 1).end_nested().end_nested()
        });
    }

    /// It has no options here.
    fn masquerade(&mut self) {
        self.custom(c"masq", |_| ());
    }

    /// An expression that netlink-bindings has not.
    fn custom(&mut self, name: &CStr, write: impl FnOnce(&mut Vec<u8>)) {
        self.add(|expr| {
            let mut expr = expr.push_name(name);
            let header = push_nested_header(expr.as_vec_mut(), EXPR_DATA);
            write(expr.as_vec_mut());
            finalize_nested_header(expr.as_vec_mut(), header);
            expr.end_nested()
        });
    }

    fn verdict(&mut self, code: VerdictCode) {
        self.add(|expr| {
            let data = expr.nested_data_immediate().push_dreg(Registers::RegVerdict as u32).nested_data();
            data.nested_verdict().push_code(code as u32).end_nested().end_nested().end_nested().end_nested()
        });
    }
}
