//! One end of a session: what its owner asks for. What the peer sends is in [`receive`].

mod receive;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use bytes::{Buf as _, Bytes};

use crate::answers::Answers;
use crate::compression::{Compressor, Decompressor};
use crate::error::{CallError, SessionError};
use crate::event::Event;
use crate::frame::{FLAG_FIN, FrameKind, MAX_DATA, data_head, write_control};
use crate::headers::Headers;
use crate::id::{PingId, Role, StreamId};
use crate::limits::Limits;
use crate::output::Output;
use crate::status::{GoAwayStatus, Status};
use crate::streams::{Stream, Streams};

use receive::Payload;

/// One end of a SPDY/3.1 connection, without the connection.
///
/// Nothing is stored for a stream but its state; what a stream has sent and the caller has not taken stays in the input.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    streams: Streams,
    output: Output,
    answers: Answers,
    compressor: Compressor,
    decompressor: Decompressor,
    /// The frame of data whose bytes come next.
    payload: Option<Payload>,
    /// What one frame brought and [`Session::receive`] has not handed out yet.
    events: VecDeque<Event>,
    pings: Pings,
    /// Whether this end has said that it goes away.
    going_away: bool,
    /// Whether the peer has.
    gone_away: bool,
    failure: Option<SessionError>,
}

/// The pings of this end.
#[derive(Debug)]
struct Pings {
    next: u32,
    unanswered: BTreeSet<PingId>,
}

impl Pings {
    /// Whether a ping is one that this end gives out.
    fn are_own(&self, ping: PingId) -> bool {
        ping.number() % 2 == self.next % 2
    }
}

impl Session {
    /// The end that made the connection.
    pub fn client(limits: Limits) -> Self {
        Self::new(Role::Client, limits)
    }

    /// The end that accepted the connection.
    pub fn server(limits: Limits) -> Self {
        Self::new(Role::Server, limits)
    }

    fn new(role: Role, limits: Limits) -> Self {
        Self {
            limits,
            streams: Streams::new(role),
            output: Output::default(),
            answers: Answers::default(),
            compressor: Compressor::default(),
            decompressor: Decompressor::default(),
            payload: None,
            events: VecDeque::new(),
            pings: Pings { next: role.first(), unanswered: BTreeSet::new() },
            going_away: false,
            gone_away: false,
            failure: None,
        }
    }

    /// Opens a stream; with `fin`, one that this end sends nothing on. Data may follow at once, before the peer's reply.
    pub fn open(&mut self, headers: &Headers, fin: bool) -> Result<StreamId, CallError> {
        self.check()?;
        if self.going_away || self.gone_away {
            return Err(CallError::GoingAway);
        }
        let stream = self.streams.next().ok_or(CallError::Exhausted)?;
        // It belongs to no other stream, and has the highest priority, 0, as all of Kubernetes' have.
        let fixed = [&stream.number().to_be_bytes()[..], &[0; 6]].concat();
        self.write_block(FrameKind::SynStream, fin, &fixed, headers)?;
        self.streams.open_own(stream, fin);
        Ok(stream)
    }

    /// Accepts a stream of the peer; with `fin`, without sending anything further on it.
    pub fn reply(&mut self, stream: StreamId, headers: &Headers, fin: bool) -> Result<(), CallError> {
        let state = self.sendable(stream)?;
        if self.streams.owns(stream) || state.replied {
            return Err(CallError::NoReplyDue(stream));
        }
        self.write_block(FrameKind::SynReply, fin, &stream.number().to_be_bytes(), headers)?;
        self.streams.reply(stream);
        self.finish_if(stream, fin);
        Ok(())
    }

    /// Sends further headers on a stream; with `fin`, as the last of this end.
    pub fn send_headers(&mut self, stream: StreamId, headers: &Headers, fin: bool) -> Result<(), CallError> {
        self.accepted(stream)?;
        self.write_block(FrameKind::Headers, fin, &stream.number().to_be_bytes(), headers)?;
        self.finish_if(stream, fin);
        Ok(())
    }

    /// Sends data on a stream, as one frame; with `fin`, as the last of this end. All of it, or nothing if it exceeds
    /// [`Session::send_capacity`]. No data without `fin` is nothing to do.
    pub fn send(&mut self, stream: StreamId, mut bytes: Bytes, fin: bool) -> Result<(), CallError> {
        self.accepted(stream)?;
        let (length, capacity) = (bytes.len(), self.send_capacity());
        if length > capacity {
            return Err(CallError::Full { stream, length, capacity });
        }
        while bytes.len() > MAX_DATA {
            self.write_data(stream, bytes.split_to(MAX_DATA), false);
        }
        if !bytes.is_empty() || fin {
            self.write_data(stream, bytes, fin);
        }
        self.finish_if(stream, fin);
        Ok(())
    }

    /// How many bytes of data [`Session::send`] accepts at the moment.
    pub fn send_capacity(&self) -> usize {
        self.limits.send_buffer.saturating_sub(self.output.remaining())
    }

    /// Ends a stream at once, in both directions: no event of it will follow. Data that waits in the output is written
    /// all the same. A stream that is over already is left alone.
    pub fn reset(&mut self, stream: StreamId, status: Status) {
        if self.streams.remove(stream) {
            self.write_reset(stream, status);
        }
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self) -> Result<PingId, CallError> {
        self.check()?;
        let ping = PingId::new(self.pings.next);
        // They begin anew with 1 or 2.
        self.pings.next = ping.number().checked_add(2).unwrap_or(2 - ping.number() % 2);
        self.pings.unanswered.insert(ping);
        write_control(&mut self.output, FrameKind::Ping, 0, &[&ping.number().to_be_bytes()]);
        Ok(ping)
    }

    /// Tells the peer that no further streams will be taken or opened. Said once only. By the protocol the open ones go
    /// on, but Kubernetes' end reads nothing after it: there it is the last thing to say.
    pub fn go_away(&mut self, status: GoAwayStatus) {
        if !self.going_away {
            self.going_away = true;
            let last = self.streams.last_peer().map_or(0, StreamId::number);
            let parts = [last.to_be_bytes(), status.code().to_be_bytes()];
            write_control(&mut self.output, FrameKind::GoAway, 0, &[&parts.concat()]);
        }
    }

    /// What is to be written to the peer.
    pub fn output(&mut self) -> &mut Output {
        &mut self.output
    }

    /// Whether anything is to be written.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// How many streams are open, in one direction at least.
    pub fn open_streams(&self) -> usize {
        self.streams.len()
    }

    /// Whether no stream is open.
    pub fn is_idle(&self) -> bool {
        self.open_streams() == 0
    }

    /// Whether [`Session::open`] can succeed: the session is neither broken nor going away, and has numbers left.
    pub fn can_open(&self) -> bool {
        self.failure.is_none() && !self.going_away && !self.gone_away && self.streams.next().is_some()
    }

    /// Fails if the session is broken.
    fn check(&self) -> Result<(), CallError> {
        self.failure.clone().map_or(Ok(()), |failure| Err(CallError::Session(failure)))
    }

    /// The state of a stream that this end has not finished.
    fn sendable(&self, stream: StreamId) -> Result<Stream, CallError> {
        self.check()?;
        let state = self.streams.get(stream).ok_or(CallError::NotOpen(stream))?;
        if state.sending { Ok(state) } else { Err(CallError::Finished(stream)) }
    }

    /// Fails unless this end may send on a stream: what the peer opened needs a reply first.
    fn accepted(&self, stream: StreamId) -> Result<(), CallError> {
        let state = self.sendable(stream)?;
        if state.replied || self.streams.owns(stream) { Ok(()) } else { Err(CallError::NotReplied(stream)) }
    }

    fn finish_if(&mut self, stream: StreamId, fin: bool) {
        if fin {
            self.streams.finish_sending(stream);
        }
    }

    fn write_block(&mut self, kind: FrameKind, fin: bool, fixed: &[u8], headers: &Headers) -> Result<(), CallError> {
        let block = self.compressor.compress(&headers.to_block()?);
        write_control(&mut self.output, kind, u8::from(fin) * FLAG_FIN, &[fixed, &block]);
        Ok(())
    }

    fn write_data(&mut self, stream: StreamId, bytes: Bytes, fin: bool) {
        self.output.put(&data_head(stream, fin, bytes.len()));
        self.output.append(bytes);
    }

    fn write_reset(&mut self, stream: StreamId, status: Status) -> usize {
        let parts = [stream.number().to_be_bytes(), status.code().to_be_bytes()];
        write_control(&mut self.output, FrameKind::RstStream, 0, &[&parts.concat()])
    }

    /// Breaks the session, and returns why.
    fn fail(&mut self, failure: SessionError) -> SessionError {
        self.go_away(GoAwayStatus::ProtocolError);
        self.streams.clear();
        self.payload = None;
        self.failure = Some(failure.clone());
        failure
    }
}
