//! Deleting conntrack entries of some ports of this machine, as `conntrack -D` does, which is seldom installed.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::conntrack::{Nfgenmsg, OpGetDo, OpGetDump};
use netlink_bindings::consts::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, bind, recv, sendto, socket};

/// `NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE` of `linux/netfilter/nfnetlink_conntrack.h`.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;

/// `NLMSG_ERROR` and `NLMSG_DONE` of linux/netlink.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `AF_INET`.
const IPV4: u8 = 2;

/// The largest part of a dump that the kernel sends at once is 32 KiB.
const ANSWER: usize = 64 << 10;

/// The original direction of a flow.
#[derive(Clone, Copy, Debug)]
struct Flow {
    protocol: u8,
    from: SocketAddrV4,
    to: SocketAddrV4,
}

/// Deletes the entries of flows to these ports of 127.0.0.1. Returns how many there were.
pub(crate) fn delete(ports: &[u16]) -> io::Result<usize> {
    let mut socket = Socket::open()?;
    let flows = socket.flows()?;
    let is_meant = |flow: &&Flow| *flow.to.ip() == Ipv4Addr::LOCALHOST && ports.contains(&flow.to.port());
    let mut deleted = 0;
    for flow in flows.iter().filter(is_meant) {
        deleted += usize::from(socket.delete(flow)?);
    }
    Ok(deleted)
}

struct Socket(OwnedFd);

impl Socket {
    fn open() -> io::Result<Self> {
        let fd = socket(AddressFamily::NETLINK, SocketType::RAW, Some(NETFILTER))?;
        bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(fd))
    }

    fn flows(&mut self) -> io::Result<Vec<Flow>> {
        let mut body = Vec::new();
        drop(OpGetDump::encode_request(&mut body, &header()));
        self.send(GET, NLM_F_DUMP, &body)?;
        let mut flows = Vec::new();
        self.answers(|answer| flows.extend(decoded(answer)))?;
        Ok(flows)
    }

    /// Whether there was one to delete.
    fn delete(&mut self, flow: &Flow) -> io::Result<bool> {
        let mut body = Vec::new();
        let tuple = OpGetDo::encode_request(&mut body, &header()).nested_tuple_orig();
        let tuple = tuple.nested_tuple_ip().push_ip_v4_src(*flow.from.ip()).push_ip_v4_dst(*flow.to.ip()).end_nested();
        let ends = tuple.nested_tuple_proto().push_proto_num(flow.protocol);
        drop(ends.push_proto_src_port(flow.from.port()).push_proto_dst_port(flow.to.port()).end_nested().end_nested());
        self.send(DELETE, NLM_F_ACK, &body)?;
        match self.answers(|_| {}) {
            // It ended by itself meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    fn send(&mut self, kind: u16, flags: i32, body: &[u8]) -> io::Result<()> {
        let mut header = Nlmsghdr::new();
        header.len = u32::try_from(Nlmsghdr::len() + body.len()).map_err(io::Error::other)?;
        header.r#type = kind;
        header.flags = u16::try_from(NLM_F_REQUEST | flags).map_err(io::Error::other)?;
        let message = [header.as_slice(), body].concat();
        sendto(&self.0, &message, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// Reads answers up to the last one.
    fn answers(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = vec![0; ANSWER];
        loop {
            let (_, length) = recv(&self.0, &mut buffer[..], RecvFlags::empty())?;
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Some(header) = rest.get(..Nlmsghdr::len()).and_then(Nlmsghdr::new_from_slice) {
                let length = header.len as usize;
                let Some(body) = rest.get(Nlmsghdr::len()..length) else { break };
                match header.r#type {
                    DONE | ERROR => return outcome(body),
                    _ => take(body),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
        }
    }
}

/// What the last message says: a negative error number first, 0 for success.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().copied().map_or(0, i32::from_ne_bytes) {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

fn header() -> Nfgenmsg {
    let mut header = Nfgenmsg::new();
    header.nfgen_family = IPV4;
    header
}

fn decoded(answer: &[u8]) -> Option<Flow> {
    let original = OpGetDo::decode_request(answer).1.get_tuple_orig().ok()?;
    let (addresses, ends) = (original.get_tuple_ip().ok()?, original.get_tuple_proto().ok()?);
    Some(Flow {
        protocol: ends.get_proto_num().ok()?,
        from: SocketAddrV4::new(addresses.get_ip_v4_src().ok()?, ends.get_proto_src_port().ok()?),
        to: SocketAddrV4::new(addresses.get_ip_v4_dst().ok()?, ends.get_proto_dst_port().ok()?),
    })
}
