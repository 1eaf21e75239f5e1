//! The flows that the kernel tracks.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use netlink_bindings::conntrack::{IterableTupleAttrs, NfCtStatus, Nfgenmsg, OpGetDo, OpGetDump};
use rustix::io::Errno;

use crate::elements::{protocol_number, protocol_of};
use crate::encode::IPV4;
use crate::entry::{Entry, Fates};
use crate::socket::{Family, Message, Refused, Socket};

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE` of `linux/netfilter/nfnetlink_conntrack.h`.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

/// The connection tracking of this network.
#[derive(Debug)]
pub(crate) struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    pub(crate) fn open() -> Result<Self, Refused> {
        Ok(Self { socket: Socket::open(Family::Netfilter)? })
    }

    /// The TCP and UDP flows over IPv4 whose destination was translated.
    pub(crate) fn led(&mut self) -> Result<Vec<Entry>, Refused> {
        self.list(true, |entry| entry.led_to.is_some())
    }

    /// The flows that are meant; if `only_led` says so, the kernel may leave out those that were not translated.
    fn list(&mut self, only_led: bool, is_meant: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>, Refused> {
        let mut body = Vec::new();
        let request = OpGetDump::encode_request(&mut body, &header());
        if only_led {
            // A host may track hundreds of thousands of others. A kernel that does not know the mask tells of them too.
            let translated = NfCtStatus::DstNat as u32;
            drop(request.push_status(translated).push_status_mask(translated));
        } else {
            drop(request);
        }
        let message = Message { operation: "list conntrack entries", kind: GET, flags: 0, body };
        self.socket.dump(&message, |answer| decoded(answer).filter(&is_meant))
    }

    /// Deletes the entries that must go; `addresses` are the host's own. Returns how many there were.
    pub(crate) fn carry_out(&mut self, fates: &Fates, addresses: &BTreeSet<Ipv4Addr>) -> Result<usize, Refused> {
        if fates.is_empty() {
            return Ok(0);
        }
        let doomed = self.list(!fates.concern_relayed(), |entry| fates.doom(entry, addresses))?;
        for entry in &doomed {
            match self.socket.request(&deletion(entry)) {
                // It ended by itself meanwhile.
                Err(refused) if refused.errno == Errno::NOENT => {}
                outcome => outcome?,
            }
        }
        Ok(doomed.len())
    }
}

fn header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.nfgen_family = IPV4;
    header
}

fn deletion(entry: &Entry) -> Message {
    let mut body = Vec::new();
    let tuple = OpGetDo::encode_request(&mut body, &header()).nested_tuple_orig();
    let tuple = tuple.nested_tuple_ip().push_ip_v4_src(*entry.from.ip()).push_ip_v4_dst(*entry.to.ip()).end_nested();
    let protocol = tuple.nested_tuple_proto().push_proto_num(protocol_number(entry.protocol));
    let protocol = protocol.push_proto_src_port(entry.from.port()).push_proto_dst_port(entry.to.port());
    drop(protocol.end_nested().end_nested().push_id(entry.id));
    Message { operation: "delete a conntrack entry", kind: DELETE, flags: 0, body }
}

/// `None` for what is not TCP or UDP over IPv4.
pub(crate) fn decoded(answer: &[u8]) -> Option<Entry> {
    let attributes = OpGetDo::decode_request(answer).1;
    let original = attributes.get_tuple_orig().ok()?;
    let protocol = protocol_of(original.get_tuple_proto().ok()?.get_proto_num().ok()?)?;
    let (from, to) = ends(&original)?;
    let (answerer, _) = ends(&attributes.get_tuple_reply().ok()?)?;
    let status = attributes.get_status().ok()?;
    let has = |flag: NfCtStatus| status & flag as u32 != 0;
    let tcp_state = attributes.get_protoinfo().and_then(|info| info.get_protoinfo_tcp()?.get_tcp_state());
    Some(Entry {
        protocol,
        from,
        to,
        led_to: has(NfCtStatus::DstNat).then_some(answerer),
        masqueraded: has(NfCtStatus::SrcNat),
        tcp_state: tcp_state.unwrap_or(0),
        id: attributes.get_id().ok()?,
    })
}

/// Source and destination.
fn ends(tuple: &IterableTupleAttrs<'_>) -> Option<(SocketAddrV4, SocketAddrV4)> {
    let (addresses, ports) = (tuple.get_tuple_ip().ok()?, tuple.get_tuple_proto().ok()?);
    let source = SocketAddrV4::new(addresses.get_ip_v4_src().ok()?, ports.get_proto_src_port().ok()?);
    let destination = SocketAddrV4::new(addresses.get_ip_v4_dst().ok()?, ports.get_proto_dst_port().ok()?);
    Some((source, destination))
}
