//! What the peer sends: frames become events, and what breaks a rule is answered.

use bytes::{Buf as _, BytesMut};

use crate::control::Control;
use crate::error::{BlockError, SessionError};
use crate::event::Event;
use crate::frame::{FrameKind, HEAD, Head, VERSION, write_control};
use crate::headers::{Fault, Headers};
use crate::id::{PingId, StreamId};
use crate::limits::{MAX_ANSWERS, MAX_CONTROL_FRAME};
use crate::session::Session;
use crate::status::{GoAwayStatus, Status};
use crate::streams::{Standing, Stream};

/// A frame of data whose head has been read.
#[derive(Debug)]
pub(super) struct Payload {
    stream: StreamId,
    fin: bool,
    /// How many of its bytes have not come yet.
    left: usize,
}

impl Session {
    /// Takes from `input` what makes the next event; `None` if more input is needed for one. What is not taken has to be
    /// there at the next call, with more behind it: at most one control frame, of [`MAX_CONTROL_FRAME`] bytes.
    ///
    /// Data is handed out as it comes, without a copy, and keeps the input's memory alive. After an error, every call
    /// returns that error.
    pub fn receive(&mut self, input: &mut BytesMut) -> Result<Option<Event>, SessionError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(failure) = &self.failure {
                return Err(failure.clone());
            }
            match self.step(input) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(failure) => return Err(self.fail(failure)),
            }
        }
    }

    /// Takes a frame, or a part of its data. False if there is too little of it.
    fn step(&mut self, input: &mut BytesMut) -> Result<bool, SessionError> {
        if self.payload.is_some() {
            return Ok(self.take_payload(input));
        }
        match Head::read(input) {
            None => Ok(false),
            Some(Head::Data { stream, fin, length }) => {
                input.advance(HEAD);
                let stream = StreamId::from_wire(stream).ok_or(SessionError::StreamZero { kind: FrameKind::Data })?;
                self.admit(stream)?;
                self.payload = Some(Payload { stream, fin, left: length });
                Ok(true)
            }
            Some(Head::Control { version, .. }) if version != VERSION => Err(SessionError::Version { version }),
            Some(Head::Control { kind, length, .. }) if length > MAX_CONTROL_FRAME => {
                Err(SessionError::TooLong { kind, length })
            }
            Some(Head::Control { length, .. }) if input.len() < HEAD + length => Ok(false),
            Some(Head::Control { kind, flags, length, .. }) => {
                input.advance(HEAD);
                let body = input.split_to(length).freeze();
                self.take_control(kind, Control::read(kind, flags, body)?)?;
                Ok(true)
            }
        }
    }

    /// Takes what is there of a frame's data. It is dropped if the stream does not take it: the peer has been told, or
    /// will see from a reset that is under way.
    fn take_payload(&mut self, input: &mut BytesMut) -> bool {
        let Some(payload) = &mut self.payload else { return false };
        let length = payload.left.min(input.len());
        if length == 0 && payload.left > 0 {
            return false;
        }
        payload.left -= length;
        let (stream, is_whole) = (payload.stream, payload.left == 0);
        let fin = is_whole && payload.fin;
        if is_whole {
            self.payload = None;
        }
        if !self.streams.get(stream).is_some_and(|state| state.receiving) {
            input.advance(length);
            return true;
        }
        let bytes = input.split_to(length).freeze();
        if fin {
            self.streams.finish_receiving(stream);
        }
        if fin || !bytes.is_empty() {
            self.events.push_back(Event::Data { stream, bytes, fin });
        }
        true
    }

    fn take_control(&mut self, kind: FrameKind, frame: Control) -> Result<(), SessionError> {
        match frame {
            Control::Open { stream, fin, unidirectional, block } => {
                let headers = self.headers(kind, stream, &block)?;
                let state = Stream { sending: !unidirectional, receiving: !fin, replied: false };
                self.opened(stream, state, headers)
            }
            Control::Reply { stream, fin, block } => {
                let headers = self.headers(kind, stream, &block)?;
                self.replied(stream, fin, headers)
            }
            Control::Headers { stream, fin, block } => {
                let headers = self.headers(kind, stream, &block)?;
                self.further_headers(stream, fin, headers)
            }
            Control::Reset { stream, status } => {
                if self.streams.remove(stream) {
                    self.events.push_back(Event::Reset { stream, status });
                }
                Ok(())
            }
            Control::Ping { number } => self.pinged(number),
            Control::GoAway { last, status } => {
                self.went_away(last, status);
                Ok(())
            }
            Control::Other => Ok(()),
        }
    }

    /// The headers of a block, which has to be read in any case, or later ones could not be. `None` if their names break
    /// a rule.
    fn headers(&mut self, kind: FrameKind, stream: StreamId, block: &[u8]) -> Result<Option<Headers>, SessionError> {
        let error = |source| SessionError::Block { kind, stream, source };
        let block = self.decompressor.decompress(block).map_err(error)?;
        match Headers::from_block(&block) {
            Ok(headers) => Ok(Some(headers)),
            Err(Fault::Names) => Ok(None),
            Err(Fault::Lengths) => Err(error(BlockError::Lengths)),
        }
    }

    fn opened(&mut self, stream: StreamId, state: Stream, headers: Option<Headers>) -> Result<(), SessionError> {
        if self.streams.owns(stream) {
            return Err(SessionError::NotItsNumber { stream });
        }
        match self.streams.last_peer() {
            Some(last) if stream < last => return Err(SessionError::NotAscending { stream, last }),
            Some(last) if stream == last => return self.reset_for(stream, Status::ProtocolError),
            _ => self.streams.pass(stream),
        }
        if self.going_away {
            return Ok(());
        }
        if self.streams.peers() >= self.limits.peer_streams {
            return self.reset_for(stream, Status::RefusedStream);
        }
        let Some(headers) = headers else { return self.reset_for(stream, Status::ProtocolError) };
        self.streams.open_peers(stream, state);
        self.events.push_back(Event::Opened { stream, headers, fin: !state.receiving });
        Ok(())
    }

    fn replied(&mut self, stream: StreamId, fin: bool, headers: Option<Headers>) -> Result<(), SessionError> {
        match (self.streams.standing(stream), headers) {
            (Standing::Over, _) => Ok(()),
            (Standing::Never, _) => self.reset_for(stream, Status::InvalidStream),
            (Standing::Open(state), _) if self.streams.owns(stream) && state.replied => {
                self.reset_for(stream, Status::StreamInUse)
            }
            (Standing::Open(_), Some(headers)) if self.streams.owns(stream) => {
                self.streams.reply(stream);
                self.finish_receiving_if(stream, fin);
                self.events.push_back(Event::Replied { stream, headers, fin });
                Ok(())
            }
            (Standing::Open(_), _) => self.reset_for(stream, Status::ProtocolError),
        }
    }

    fn further_headers(&mut self, stream: StreamId, fin: bool, headers: Option<Headers>) -> Result<(), SessionError> {
        if !self.admit(stream)? {
            return Ok(());
        }
        let Some(headers) = headers else { return self.reset_for(stream, Status::ProtocolError) };
        self.finish_receiving_if(stream, fin);
        self.events.push_back(Event::Headers { stream, headers, fin });
        Ok(())
    }

    /// Whether data or headers for a stream are taken; if the peer should not have sent them, it is told. What comes for
    /// a stream that is over may have crossed a reset.
    fn admit(&mut self, stream: StreamId) -> Result<bool, SessionError> {
        let status = match self.streams.standing(stream) {
            Standing::Over => return Ok(false),
            Standing::Never => Status::InvalidStream,
            Standing::Open(state) if !state.receiving => Status::StreamAlreadyClosed,
            Standing::Open(state) if !state.replied && self.streams.owns(stream) => Status::ProtocolError,
            Standing::Open(_) => return Ok(true),
        };
        self.reset_for(stream, status)?;
        Ok(false)
    }

    fn finish_receiving_if(&mut self, stream: StreamId, fin: bool) {
        if fin {
            self.streams.finish_receiving(stream);
        }
    }

    /// Resets a stream because of what the peer did; the owner is told if it knows the stream.
    fn reset_for(&mut self, stream: StreamId, status: Status) -> Result<(), SessionError> {
        if self.streams.remove(stream) {
            self.events.push_back(Event::Reset { stream, status });
        }
        let length = self.write_reset(stream, status);
        self.answered(length)
    }

    fn pinged(&mut self, number: u32) -> Result<(), SessionError> {
        let ping = PingId::new(number);
        if self.pings.are_own(ping) {
            // One that nobody awaits is ignored, as the protocol demands.
            if self.pings.unanswered.remove(&ping) {
                self.events.push_back(Event::Pong { ping });
            }
            return Ok(());
        }
        let length = write_control(&mut self.output, FrameKind::Ping, 0, &[&number.to_be_bytes()]);
        self.answered(length)
    }

    fn went_away(&mut self, last: Option<StreamId>, status: GoAwayStatus) {
        self.gone_away = true;
        self.events.push_back(Event::GoneAway { last, status });
        for stream in self.streams.remove_own_after(last) {
            self.events.push_back(Event::Reset { stream, status: Status::RefusedStream });
        }
    }

    /// Counts an answer that only the peer asked for.
    fn answered(&mut self, length: usize) -> Result<(), SessionError> {
        self.answers.add(length);
        let waiting = self.answers.waiting(&self.output);
        if waiting > MAX_ANSWERS { Err(SessionError::Flooded) } else { Ok(()) }
    }
}
