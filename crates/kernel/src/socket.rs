//! A netlink socket: requests and their answers, one at a time.

use std::os::fd::OwnedFd;

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::consts::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, sendto, socket_with, sockopt,
};

/// The largest part of a dump that the kernel sends at once (`NLMSG_GOODSIZE` and `max_recvmsg_len` in
/// `net/netlink/af_netlink.c`: 32 KiB), twice.
const ANSWER: usize = 64 * 1024;

/// The length of `struct nlmsghdr`.
const HEADER: usize = Nlmsghdr::len();

/// `NLMSG_ERROR` and `NLMSG_DONE` of linux/netlink.h.
const ERROR: u16 = 2;
const DONE: u16 = 3;

/// `MAX_ERRNO` of linux/err.h. rustix panics on a larger number, if it checks.
const MAX_ERRNO: i32 = 4095;

/// How often a dump is begun again because others changed what is dumped.
const DUMP_ATTEMPTS: usize = 10;

/// An operation that the kernel refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{operation}: {errno}")]
pub struct Refused {
    /// What was asked for, such as "delete the table".
    pub operation: &'static str,
    /// The kernel's answer.
    #[source]
    pub errno: Errno,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) operation: &'static str,
    pub(crate) kind: u16,
    pub(crate) flags: i32,
    /// All after the netlink header.
    pub(crate) body: Vec<u8>,
}

/// Which part of the kernel a socket talks to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Family {
    Netfilter,
    Route,
}

#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
}

impl Socket {
    pub(crate) fn open(family: Family) -> Result<Self, Refused> {
        let refused = |errno| Refused { operation: "open a netlink socket", errno };
        let fd = subscribed(family, 0, SocketFlags::CLOEXEC).map_err(refused)?;
        Ok(Self { fd, sequence: 0 })
    }

    /// Asks for something to be done.
    pub(crate) fn request(&mut self, message: &Message) -> Result<(), Refused> {
        self.answers(message, NLM_F_ACK, |_| None::<()>).map(|_| ())
    }

    /// Asks for one thing, `None` if it does not exist.
    pub(crate) fn get(&mut self, message: &Message) -> Result<Option<Vec<u8>>, Refused> {
        match self.answers(message, NLM_F_ACK, |body| Some(body.to_vec())) {
            Ok(answers) => Ok(answers.found.into_iter().next()),
            Err(refused) if refused.errno == Errno::NOENT => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    /// Asks for all of something, as of one moment: what `decode` makes of each message's body, without those of which it
    /// makes nothing. The bodies are not kept: there may be hundreds of thousands.
    pub(crate) fn dump<T>(
        &mut self,
        message: &Message,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Refused> {
        for _ in 0..DUMP_ATTEMPTS {
            let answers = self.answers(message, NLM_F_DUMP, &decode)?;
            if !answers.interrupted {
                return Ok(answers.found);
            }
        }
        Err(Refused { operation: message.operation, errno: Errno::INTR })
    }

    fn answers<T>(
        &mut self,
        message: &Message,
        flags: i32,
        decode: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Answers<T>, Refused> {
        let refused = |errno| Refused { operation: message.operation, errno };
        let mut request = Vec::new();
        let sequence = self.append(&mut request, message, NLM_F_REQUEST | flags);
        self.send(&request).map_err(refused)?;
        let mut answers = Answers { found: Vec::new(), interrupted: false };
        let mut buffer = vec![0; ANSWER];
        loop {
            let received = recv(&self.fd, &mut buffer[..], RecvFlags::empty()).map_err(refused)?.1;
            for answer in parts(&buffer[..received]).filter(|answer| answer.header.seq == sequence) {
                answers.interrupted |= i32::from(answer.header.flags) & NLM_F_DUMP_INTR != 0;
                match answer.header.r#type {
                    ERROR | DONE => return answer.outcome().map(|()| answers).map_err(refused),
                    _ => answers.found.extend(decode(answer.body)),
                }
            }
        }
    }

    /// Sends messages of which the kernel does all or nothing. `begin` and `end` enclose them.
    pub(crate) fn batch(&mut self, begin: &Message, messages: &[Message], end: &Message) -> Result<(), Refused> {
        let Some((last, others)) = messages.split_last() else { return Ok(()) };
        let mut request = Vec::new();
        let first = self.append(&mut request, begin, NLM_F_REQUEST);
        for message in others {
            self.append(&mut request, message, NLM_F_REQUEST);
        }
        // One acknowledgement, or the answers to a large batch would not fit into the socket's buffer.
        self.append(&mut request, last, NLM_F_REQUEST | NLM_F_ACK);
        self.append(&mut request, end, NLM_F_REQUEST);
        let refused = |errno| Refused { operation: last.operation, errno };
        self.make_room(request.len()).map_err(refused)?;
        self.send(&request).map_err(refused)?;
        self.verdict(first, messages, last.operation)
    }

    /// Reads what the kernel said of a batch whose first message has this number. All of it is there when the batch has
    /// been sent.
    fn verdict(&mut self, first: u32, messages: &[Message], operation: &'static str) -> Result<(), Refused> {
        let mut outcome = Err(Refused { operation, errno: Errno::NOMSG });
        let mut failed = false;
        let mut buffer = vec![0; ANSWER];
        loop {
            let received = match recv(&self.fd, &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, received)) => received,
                Err(Errno::AGAIN) => return outcome,
                Err(errno) => return Err(Refused { operation, errno }),
            };
            for answer in parts(&buffer[..received]).filter(|answer| answer.header.r#type == ERROR) {
                let Some(index) = answer.header.seq.checked_sub(first) else { continue };
                if !failed {
                    let about = (index as usize).checked_sub(1).and_then(|index| messages.get(index));
                    let operation = about.map_or(operation, |message| message.operation);
                    outcome = answer.outcome().map_err(|errno| Refused { operation, errno });
                    failed = outcome.is_err();
                }
            }
        }
    }

    fn append(&mut self, request: &mut Vec<u8>, message: &Message, flags: i32) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        let length = HEADER + message.body.len();
        let mut header = Nlmsghdr::new();
        header.len = u32::try_from(length).unwrap_or(u32::MAX);
        header.r#type = message.kind;
        header.flags = u16::try_from(message.flags | flags).unwrap_or_default();
        header.seq = self.sequence;
        request.extend(header.as_slice());
        request.extend(&message.body);
        request.resize(request.len().next_multiple_of(4), 0);
        self.sequence
    }

    /// Lets the socket take a message of this length: the kernel takes none that is larger than its send buffer.
    fn make_room(&self, length: usize) -> Result<(), Errno> {
        if sockopt::socket_send_buffer_size(&self.fd)? < 2 * length {
            // Beyond the system's limit only with `CAP_NET_ADMIN` outside of any user namespace.
            return sockopt::set_socket_send_buffer_size_force(&self.fd, 2 * length)
                .or_else(|_| sockopt::set_socket_send_buffer_size(&self.fd, 2 * length));
        }
        Ok(())
    }

    fn send(&self, request: &[u8]) -> Result<(), Errno> {
        sendto(&self.fd, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).map(|_| ())
    }
}

/// A socket that gets the messages of these multicast groups, a bit for each: bit 0 for group 1.
pub(crate) fn subscribed(family: Family, groups: u32, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let protocol = match family {
        Family::Netfilter => Some(NETFILTER),
        Family::Route => None,
    };
    let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?;
    bind(&fd, &SocketAddrNetlink::new(0, groups))?;
    Ok(fd)
}

struct Answers<T> {
    found: Vec<T>,
    interrupted: bool,
}

pub(crate) struct Part<'a> {
    header: Nlmsghdr,
    pub(crate) body: &'a [u8],
}

impl Part<'_> {
    /// What an `NLMSG_ERROR` or `NLMSG_DONE` says: a negative error number first, 0 for success.
    pub(crate) fn outcome(&self) -> Result<(), Errno> {
        match self.body.first_chunk().copied().map_or(0, i32::from_ne_bytes).saturating_neg() {
            0 => Ok(()),
            code @ 1..=MAX_ERRNO => Err(Errno::from_raw_os_error(code)),
            _ => Err(Errno::BADMSG),
        }
    }
}

/// The messages in what was received at once.
pub(crate) fn parts(mut received: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let header = Nlmsghdr::new_from_slice(received.get(..HEADER)?)?;
        let length = header.len as usize;
        let body = received.get(HEADER..length)?;
        received = received.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(Part { header, body })
    })
}
