//! A client's datagrams, and the backend's answers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Type};

use super::activity::{Activity, Clock};
use super::batch::{Batch, Run};
use super::socket::{Destination, Sent, Socket};
use crate::mapping::Mapping;
use crate::route::Candidate;

/// What is asked for of a session's receive buffer, in bytes; the kernel lowers it to `net.core.rmem_max`. Memory is
/// taken only while answers wait in it.
const BUFFER: usize = 1 << 20;

/// Who talks to whom: what makes a session one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ends {
    /// The place of the listening socket in its mapping.
    pub(super) listener: usize,
    pub(super) client: SocketAddr,
    /// The address that the client sends to, where the socket is not bound to one.
    pub(super) local: Option<IpAddr>,
}

/// One client with one backend.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) ends: Ends,
    pub(super) candidate: Arc<Candidate>,
    pub(super) activity: Arc<Activity>,
    /// Connected to the backend, so that the kernel reports its ICMP errors here, and drops what others send.
    socket: Socket,
    listener: Arc<Socket>,
    mapping: Arc<Mapping>,
}

/// The end of a session that its backend caused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) session: Arc<Session>,
    pub(super) error: io::Error,
}

impl Session {
    /// Opens a socket towards the backend. `last` is the time of the newest datagram so far.
    pub(super) fn open(
        ends: Ends,
        candidate: Arc<Candidate>,
        listener: &Arc<Socket>,
        mapping: &Arc<Mapping>,
        last: Duration,
    ) -> io::Result<Arc<Self>> {
        let address = candidate.backend.address;
        let socket = socket2::Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        socket.set_nonblocking(true)?;
        // Less is no error.
        let _ = socket.set_recv_buffer_size(BUFFER);
        socket.connect(&address.into())?;
        let socket = Socket::new(socket.into())?;
        let activity = Arc::new(Activity::new(last));
        Ok(Arc::new(Self { ends, candidate, activity, socket, listener: listener.clone(), mapping: mapping.clone() }))
    }

    /// Passes the client's datagrams on, and counts those that the kernel took.
    pub(super) fn forward(&self, run: &Run<'_>, now: Duration) -> Sent {
        self.activity.touch(now);
        let sent = self.socket.send(run, Destination::Connected(self.candidate.backend.address));
        self.mapping.tally.datagrams_in.add(sent.datagrams as u64);
        self.mapping.tally.bytes_in.add(sent.bytes as u64);
        sent
    }

    /// Passes the backend's datagrams on, any number of them, until an error ends the session.
    pub(super) async fn answer(self: Arc<Self>, clock: Clock) -> Refused {
        loop {
            match self.answer_once(clock).await {
                // More is waiting, and so are others.
                Ok(true) => tokio::task::yield_now().await,
                Ok(false) => {}
                Err(error) => return Refused { session: self, error },
            }
        }
    }

    /// Passes one batch on; true if more is probably waiting.
    async fn answer_once(&self, clock: Clock) -> io::Result<bool> {
        let interest = self.socket.incoming().await?;
        let batches = &self.mapping.common.batches;
        let mut batch = batches.take().unwrap_or_else(Batch::new);
        let received = self.socket.receive(interest, &mut batch);
        let more = batch.is_full();
        if !batch.is_empty() {
            self.activity.touch(clock.now());
            batch.for_each_run(|run| self.reply(run));
        }
        batches.put(batch);
        received.map(|()| more)
    }

    fn reply(&self, run: &Run<'_>) {
        let sent = self.listener.send(run, Destination::Address { to: self.ends.client, from: self.ends.local });
        let tally = &self.mapping.tally;
        tally.datagrams_out.add(sent.datagrams as u64);
        tally.bytes_out.add(sent.bytes as u64);
        tally.datagrams_dropped.add((run.count() - sent.datagrams) as u64);
    }
}
