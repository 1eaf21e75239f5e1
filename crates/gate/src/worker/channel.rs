//! The socket between supervisor and worker: messages of any length, with descriptors.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::marker::PhantomData;
use std::mem::{MaybeUninit, take};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use portgate_core::limits::Limit;
use rustix::cmsg_space;
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// The payload of one packet, in bytes. A longer message is several; the socket's buffer holds six, by default.
const PACKET: usize = 32 << 10;

/// The most descriptors that a message carries: the kernel's `SCM_MAX_FD`.
pub(super) const DESCRIPTORS: usize = 253;

/// How long to wait if the kernel lacks something, be it memory or the right to have more descriptors on their way.
const SHORTAGE: Duration = Duration::from_millis(1);

/// The first byte of a packet: is the message complete with it?
const MORE: u8 = 0;
const COMPLETE: u8 = 1;

/// One end of a sequential-packet socket, that says `Out` and hears `In`. The messages are JSON.
#[derive(Debug)]
pub(super) struct Channel<Out, In> {
    /// Waits for the socket to be ready; a type for sequential packets there is not.
    socket: UnixDatagram,
    outbox: Outbox,
    inbox: Inbox,
    messages: PhantomData<fn(Out) -> In>,
}

/// What one end takes as one message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Accepts {
    pub(super) bytes: Limit,
    /// The kernel closes any others.
    pub(super) descriptors: usize,
}

/// A message, and the descriptors that came with it.
#[derive(Debug)]
pub(super) struct Received<In> {
    pub(super) message: In,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl<Out: Serialize, In: DeserializeOwned> Channel<Out, In> {
    pub(super) fn new(socket: OwnedFd, accepts: Accepts) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(socket);
        socket.set_nonblocking(true)?;
        let inbox = Inbox::new(accepts);
        Ok(Self { socket: UnixDatagram::from_std(socket)?, outbox: Outbox::default(), inbox, messages: PhantomData })
    }

    /// Queues a message, that [`Channel::next`] sends.
    pub(super) fn send(&mut self, message: &Out) -> io::Result<()> {
        self.send_with(message, Arc::default())
    }

    /// Queues a message with at most [`DESCRIPTORS`] descriptors.
    pub(super) fn send_with(&mut self, message: &Out, descriptors: Arc<[OwnedFd]>) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        self.outbox.0.push_back(Outgoing { bytes, sent: 0, descriptors });
        Ok(())
    }

    /// The next message; `None` once the other end is closed. Sends what is queued, meanwhile. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Received<In>>> {
        loop {
            let outcome = tokio::select! {
                received = self.inbox.next(&self.socket) => received,
                sent = self.outbox.flush(&self.socket), if !self.outbox.0.is_empty() => match sent {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
            };
            return match outcome {
                Ok(Some((bytes, descriptors))) => {
                    Ok(Some(Received { message: serde_json::from_slice(&bytes)?, descriptors }))
                }
                Ok(None) => Ok(None),
                // It closed its end before it had read all that was sent.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::PIPE | Errno::CONNRESET)) => Ok(None),
                Err(error) => Err(error),
            };
        }
    }
}

#[derive(Debug, Default)]
struct Outbox(VecDeque<Outgoing>);

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    sent: usize,
    descriptors: Arc<[OwnedFd]>,
}

impl Outbox {
    /// Sends all that is queued.
    async fn flush(&mut self, socket: &UnixDatagram) -> io::Result<()> {
        while let Some(message) = self.0.front_mut() {
            match socket.async_io(Interest::WRITABLE, || message.send_packet(socket.as_fd())).await {
                Ok(true) => drop(self.0.pop_front()),
                Ok(false) => {}
                Err(error) if is_shortage(&error) => tokio::time::sleep(SHORTAGE).await,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Outgoing {
    /// Sends the next packet. Was it the last?
    fn send_packet(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        let rest = &self.bytes[self.sent..];
        let payload = &rest[..rest.len().min(PACKET)];
        let complete = payload.len() == rest.len();
        let head = [if complete { COMPLETE } else { MORE }];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = self.descriptors.iter().map(AsFd::as_fd).collect();
        if self.sent == 0 && !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
        }
        sendmsg(socket, &[IoSlice::new(&head), IoSlice::new(payload)], &mut control, SendFlags::NOSIGNAL)?;
        self.sent += payload.len();
        Ok(complete)
    }
}

/// Whether the kernel lacks something that it will have again.
fn is_shortage(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM))
}

/// What has come of the next message.
#[derive(Debug)]
struct Inbox {
    longest: Limit,
    packet: Box<[u8]>,
    control: Box<[MaybeUninit<u8>]>,
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// What one packet was.
enum Packet {
    End,
    Part,
    Last,
}

impl Inbox {
    fn new(Accepts { bytes, descriptors }: Accepts) -> Self {
        let control = if descriptors == 0 { 0 } else { cmsg_space!(ScmRights(descriptors)) };
        Self {
            longest: bytes,
            packet: vec![0; 1 + PACKET].into(),
            control: vec![MaybeUninit::uninit(); control].into(),
            bytes: Vec::new(),
            descriptors: Vec::new(),
        }
    }

    async fn next(&mut self, socket: &UnixDatagram) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
        loop {
            match socket.async_io(Interest::READABLE, || self.receive(socket.as_fd())).await? {
                Packet::Last => return Ok(Some((take(&mut self.bytes), take(&mut self.descriptors)))),
                Packet::End => return Ok(None),
                Packet::Part => {}
            }
        }
    }

    fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<Packet> {
        let mut control = RecvAncillaryBuffer::new(&mut self.control);
        let buffer = &mut [IoSliceMut::new(&mut self.packet)];
        let length = recvmsg(socket, buffer, &mut control, RecvFlags::CMSG_CLOEXEC)?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        drop(control);
        self.take(length)
    }

    /// Takes the packet of this length that was received.
    fn take(&mut self, length: usize) -> io::Result<Packet> {
        let Some((&head, payload)) = self.packet[..length].split_first() else { return Ok(Packet::End) };
        let length = self.bytes.len() + payload.len();
        self.longest
            .check(length, || "a message".to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        self.bytes.extend_from_slice(payload);
        Ok(if head == MORE { Packet::Part } else { Packet::Last })
    }
}

/// The first message that these packets make, for the fuzz targets: what [`Channel::next`] yields without a socket.
pub(super) fn message<In: DeserializeOwned>(packets: &[&[u8]], longest: Limit) -> io::Result<Option<In>> {
    let mut inbox = Inbox::new(Accepts { bytes: longest, descriptors: 0 });
    for packet in packets {
        let length = packet.len().min(inbox.packet.len());
        inbox.packet[..length].copy_from_slice(&packet[..length]);
        match inbox.take(length)? {
            Packet::Last => return Ok(Some(serde_json::from_slice(&inbox.bytes)?)),
            Packet::End => return Ok(None),
            Packet::Part => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portgate_core::limits::{WORKER_ORDER, WORKER_REPORT};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    fn ends() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn channels() -> (Channel<String, String>, Channel<String, String>) {
        let (a, b) = ends();
        let accepts = |descriptors| Accepts { bytes: WORKER_ORDER, descriptors };
        (Channel::new(a, accepts(0)).unwrap(), Channel::new(b, accepts(DESCRIPTORS)).unwrap())
    }

    /// What `b` hears next, while `a` sends.
    async fn hear(a: &mut Channel<String, String>, b: &mut Channel<String, String>) -> Received<String> {
        tokio::select! {
            received = b.next() => received.unwrap().unwrap(),
            _ = a.next() => panic!("nothing was said to a"),
        }
    }

    #[tokio::test]
    async fn a_message_may_be_longer_than_the_socket_s_buffer() {
        let (mut a, mut b) = channels();
        let long = "x".repeat(3 << 20);
        a.send(&long).unwrap();
        a.send(&"short".to_owned()).unwrap();
        assert_eq!(hear(&mut a, &mut b).await.message, long);
        assert_eq!(hear(&mut a, &mut b).await.message, "short");
    }

    #[tokio::test]
    async fn both_ends_can_say_much_at_a_time() {
        let (mut a, mut b) = channels();
        let long = "x".repeat(3 << 20);
        a.send(&long).unwrap();
        b.send(&long).unwrap();
        // Each keeps on sending until the other has heard it.
        let (mut a_heard, mut b_heard) = (false, false);
        while !(a_heard && b_heard) {
            tokio::select! {
                received = a.next() => a_heard |= received.unwrap().unwrap().message == long,
                received = b.next() => b_heard |= received.unwrap().unwrap().message == long,
            }
        }
    }

    #[tokio::test]
    async fn descriptors_come_with_their_message_where_they_are_wanted() {
        let (mut a, mut b) = channels();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let descriptors: Arc<[OwnedFd]> = Arc::new([listener.into()]);
        a.send_with(&"x".repeat(3 * PACKET), descriptors.clone()).unwrap();
        a.send(&String::new()).unwrap();
        let mut received = hear(&mut a, &mut b).await.descriptors;
        assert_eq!(TcpListener::from(received.remove(0)).local_addr().unwrap(), address);
        assert!(received.is_empty());
        assert!(hear(&mut a, &mut b).await.descriptors.is_empty());
        b.send_with(&String::new(), descriptors).unwrap();
        assert!(hear(&mut b, &mut a).await.descriptors.is_empty(), "the supervisor takes none");
    }

    #[tokio::test]
    async fn the_end_is_the_end_even_with_messages_unread() {
        let (mut a, mut b) = channels();
        a.send(&"unread".to_owned()).unwrap();
        a.outbox.flush(&a.socket).await.unwrap();
        b.send(&"also unread".to_owned()).unwrap();
        b.outbox.flush(&b.socket).await.unwrap();
        drop(b);
        a.send(&"into the void".to_owned()).unwrap();
        while let Some(received) = a.next().await.unwrap() {
            assert_eq!(received.message, "also unread");
        }
        assert!(a.next().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error() {
        let (a, b) = ends();
        let mut b = Channel::<String, String>::new(b, Accepts { bytes: WORKER_ORDER, descriptors: 0 }).unwrap();
        rustix::io::write(&a, &[COMPLETE, b'{']).unwrap();
        b.next().await.unwrap_err();
    }

    #[tokio::test]
    async fn a_message_that_does_not_end_is_an_error() {
        let (a, b) = ends();
        let mut b = Channel::<String, String>::new(b, Accepts { bytes: WORKER_REPORT, descriptors: 0 }).unwrap();
        let endless = std::thread::spawn(move || {
            let packet = vec![MORE; 1 + PACKET];
            while rustix::io::write(&a, &packet).is_ok() {}
        });
        let error = b.next().await.unwrap_err();
        assert_eq!(error.to_string(), "a message exceeds the limit of 2 MiB for a worker's report");
        assert!(b.inbox.bytes.len() <= WORKER_REPORT.most);
        drop(b);
        endless.join().unwrap();
    }
}
