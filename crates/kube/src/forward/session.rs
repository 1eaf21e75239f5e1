//! One connection to the API server that carries streams to a pod, and the task that owns it.

mod streams;
mod watchdog;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use portgate_core::port::Port;
use portgate_spdy::{Event, GoAwayStatus, Headers, Limits, Session as Spdy, Status};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::{ForwardError, Loss, StreamError};
use super::far_end::FarEnd;
use super::lease::{Lease, Member};
use super::link::{Command, Lane, Link, weight};
use super::pool::Fate;
use super::stream::PodStream;
use super::wire::{Moved, Wire, step};
use streams::{Stream, Streams};
use watchdog::{Due, PATIENCE, Watchdog};

/// How much is read at once, in bytes: at first, and at most. As much as waits for a stream keeps such pieces alive.
const READ: (usize, usize) = (4 * 1024, 32 * 1024);

/// How many commands are obeyed before anything is written.
const COMMANDS: usize = 64;

/// How long a session takes at most to say that it ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// A session.
pub(super) struct Session {
    wire: Box<dyn Wire>,
    spdy: Spdy,
    input: BytesMut,
    /// How much is read at once.
    room: usize,
    /// How much room is to be given back once the output is written.
    owed: usize,
    streams: Streams,
    /// The number of the next stream's request.
    request: u64,
    /// The lane that has to be emptied before anything more is read.
    full: Option<Arc<Lane>>,
    watchdog: Watchdog,
    link: Arc<Link>,
    member: Member,
    /// Whether it gets no more streams.
    is_draining: bool,
}

impl Session {
    /// A session on a connection that nothing was sent on yet.
    pub(super) fn new(wire: Box<dyn Wire>, link: Arc<Link>, member: Member) -> Self {
        Self {
            wire,
            // The room that senders take is the limit.
            spdy: Spdy::client(Limits { peer_streams: 0, send_buffer: usize::MAX }),
            input: BytesMut::new(),
            room: READ.0,
            owed: 0,
            streams: Streams::default(),
            request: 0,
            full: None,
            watchdog: Watchdog::new(Instant::now()),
            link,
            member,
            is_draining: false,
        }
    }

    /// Carries streams until there is no more reason to, or the connection is lost.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        match self.carry(&mut commands).await {
            Ok(()) => self.say_farewell().await,
            Err(loss) => {
                self.member.leave();
                tracing::debug!(pod = %self.member.pod(), error = %loss, "a session was lost");
                self.streams.lose(&StreamError::Lost(Arc::new(loss)));
            }
        }
    }

    async fn carry(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Result<(), Loss> {
        let mut batch = Vec::with_capacity(COMMANDS);
        let alarm = sleep_until(self.watchdog.next());
        tokio::pin!(alarm);
        loop {
            self.receive()?;
            if self.is_draining && self.streams.is_empty() {
                return Ok(());
            }
            self.link.set_stalled(self.full.is_some() || self.spdy.has_output());
            if alarm.deadline() != self.watchdog.next() {
                alarm.as_mut().reset(self.watchdog.next());
            }
            let (wire, output, room) = (self.wire.as_mut(), self.spdy.output(), self.room);
            let mut input = self.full.is_none().then_some(&mut self.input);
            tokio::select! {
                biased;
                // There is always a sender: the link.
                _ = commands.recv_many(&mut batch, COMMANDS) => {
                    if self.streams.is_empty() {
                        self.look().await?;
                    }
                    batch.drain(..).for_each(|command| self.obey(command));
                }
                moved = poll_fn(|context| step(context, wire, output, input.as_deref_mut(), room)) => {
                    self.moved(&moved?)?;
                }
                () = self.link.resumed.notified(), if self.full.is_some() => self.resume(),
                () = &mut alarm => self.ring()?,
            }
        }
    }

    /// Takes what has come by now. A session that rested may have been lost meanwhile: then what it is told is not
    /// obeyed, and whoever asks for a stream asks another session.
    async fn look(&mut self) -> Result<(), Loss> {
        let (wire, output, room) = (self.wire.as_mut(), self.spdy.output(), self.room);
        let now = poll_fn(|context| Poll::Ready(step(context, wire, output, Some(&mut self.input), room))).await;
        if let Poll::Ready(moved) = now {
            self.moved(&moved?)?;
        }
        self.receive()
    }

    fn moved(&mut self, moved: &Moved) -> Result<(), Loss> {
        let rest = self.spdy.output().is_empty();
        let freed = if rest { self.owed } else { self.owed.min(moved.written) };
        self.owed -= freed;
        self.link.room.add_permits(freed);
        match moved.read {
            Some(0) => return Err(Loss::Ended),
            Some(_) => {
                self.watchdog.heard();
                if self.input.len() == self.input.capacity() {
                    self.room = READ.1.min(self.room * 2);
                }
            }
            None => {}
        }
        Ok(())
    }

    /// Reads again if the lane that was full has room.
    fn resume(&mut self) {
        if self.full.as_ref().is_some_and(|lane| lane.has_room()) {
            self.full = None;
        }
    }

    /// Takes what has come, until a lane is full.
    fn receive(&mut self) -> Result<(), Loss> {
        let was_empty = self.streams.is_empty();
        while self.full.is_none()
            && let Some(event) = self.spdy.receive(&mut self.input)?
        {
            if let Event::Replied { stream, .. } = &event
                && self.streams.reply(*stream)
            {
                self.watchdog.replied();
            }
            match event {
                Event::Data { stream, bytes, fin } => self.full = self.streams.take(stream, bytes, fin),
                Event::Replied { stream, fin: true, .. } | Event::Headers { stream, fin: true, .. } => {
                    self.streams.take(stream, Bytes::new(), true);
                }
                Event::Reset { stream, status } => {
                    self.streams.reset(stream, StreamError::Reset(status));
                    self.drain();
                }
                Event::Pong { .. } => self.watchdog.ponged(),
                Event::GoneAway { .. } => self.drain(),
                // The other side may open none, and has nothing to say in headers.
                Event::Opened { .. } | Event::Replied { .. } | Event::Headers { .. } => {}
            }
        }
        self.note_emptied(was_empty);
        Ok(())
    }

    fn obey(&mut self, command: Command) {
        let was_empty = self.streams.is_empty();
        match command {
            // The answer is dropped with the command, and another session is asked, if anybody waits for it.
            Command::Open { answer, .. } if self.is_draining || answer.is_closed() => {}
            Command::Open { port, lease, answer } => self.open(port, lease, answer),
            Command::Send { stream, bytes } => self.send(stream, bytes),
            Command::Finish { stream: number } => {
                if let Some(stream) = self.streams.sending(number) {
                    stream.end.is_sending = false;
                    // It is open, and so this is taken.
                    let _ = self.spdy.send(stream.data, Bytes::new(), true);
                    self.streams.forget_if_over(number);
                }
            }
            Command::Abandon { stream } => self.abandon(stream),
            Command::Drain => self.drain(),
        }
        self.note_emptied(was_empty);
    }

    fn open(&mut self, port: Port, lease: Lease, answer: oneshot::Sender<Result<PodStream, ForwardError>>) {
        let headers = |kind: &str| {
            Headers::from([("streamtype", kind), ("port", &port.to_string()), ("requestid", &self.request.to_string())])
        };
        // As kubectl does it, but without a pause: data may follow at once.
        let error = self.spdy.open(&headers("error"), false);
        let opened = error.and_then(|error| {
            self.spdy.send(error, Bytes::new(), true)?;
            Ok((error, self.spdy.open(&headers("data"), false)?))
        });
        let Ok((error, data)) = opened else {
            // Its numbers have run out. Another session is asked.
            return self.drain();
        };
        self.request += 1;
        let (stream, inbox) = PodStream::new(&self.link, data.number());
        self.streams.insert(Stream { data, error, is_replied: false, end: FarEnd::new(inbox), _lease: lease });
        self.watchdog.opened(Instant::now());
        // Nobody waits for it any more? Then it is given up as it is dropped.
        let _ = answer.send(Ok(stream));
    }

    fn send(&mut self, number: u32, bytes: Bytes) {
        let Some(stream) = self.streams.sending(number) else {
            return self.link.room.add_permits(weight(&bytes));
        };
        self.owed += weight(&bytes);
        self.watchdog.sent();
        // It is open, and so this is taken.
        let _ = self.spdy.send(stream.data, bytes, false);
    }

    /// One end of a stream is gone: its other end is of no use, and the pod's side is told. If that has left already,
    /// this is an end as any other.
    fn abandon(&mut self, number: u32) {
        let Some(mut stream) = self.streams.remove(number) else { return };
        if self.full.as_ref().is_some_and(|lane| Arc::ptr_eq(lane, &stream.end.lane)) {
            self.full = None;
        }
        if stream.end.is_left() {
            let _ = self.spdy.send(stream.data, Bytes::new(), true);
        } else {
            self.spdy.reset(stream.data, Status::Cancel);
            self.spdy.reset(stream.error, Status::Cancel);
            // The other end may still be about to write, or stuck in it.
            self.drain();
        }
        stream.end.break_off(StreamError::GivenUp);
    }

    /// Gets no more streams.
    fn drain(&mut self) {
        self.is_draining = true;
        self.member.leave();
    }

    fn note_emptied(&mut self, was_empty: bool) {
        if !was_empty && self.streams.is_empty() {
            self.watchdog.emptied(Instant::now());
        }
    }

    fn ring(&mut self) -> Result<(), Loss> {
        match self.watchdog.due(Instant::now(), self.full.is_some()) {
            Due::Nothing => {}
            Due::Ping => {
                // A broken session is not asked.
                let _ = self.spdy.ping();
                if self.input.is_empty() {
                    // Nothing has come for a while: the room for it need not be kept.
                    (self.input, self.room) = (BytesMut::new(), READ.0);
                }
            }
            Due::Idle => self.is_draining |= self.member.expire() == Fate::Drains,
            Due::Silent => return Err(Loss::Silent(PATIENCE)),
        }
        Ok(())
    }

    /// Says that it ends, and ends.
    async fn say_farewell(&mut self) {
        self.member.leave();
        self.spdy.go_away(GoAwayStatus::Ok);
        let said = poll_fn(|context| {
            while !self.spdy.output().is_empty() {
                ready!(self.wire.poll_write(context, self.spdy.output()))?;
            }
            self.wire.poll_close(context)
        });
        // Whether the other side hears it makes no difference any more.
        let _ = timeout(FAREWELL, said).await;
    }
}

#[cfg(test)]
mod tests;
