//! A session against frames that are written by hand.

mod breaches;
mod life;
mod limits;

use bytes::BytesMut;

use super::*;
use crate::frame::{FLAG_UNIDIRECTIONAL, Head};

/// A session under test, and what its peer needs to write frames.
struct End {
    session: Session,
    input: BytesMut,
    peer: Compressor,
}

impl End {
    fn new(session: Session) -> Self {
        Self { session, input: BytesMut::new(), peer: Compressor::default() }
    }

    fn client() -> Self {
        Self::new(Session::client(Limits::default()))
    }

    fn server() -> Self {
        Self::new(Session::server(Limits::default()))
    }

    /// A client with a stream that the server has accepted, and nothing in its output.
    fn with_stream() -> (Self, StreamId) {
        let mut end = Self::client();
        let stream = end.session.open(&port(80), false).unwrap();
        let reply = end.block(FrameKind::SynReply, 0, stream.number(), &Headers::new());
        assert_eq!(end.take(&reply), [Event::Replied { stream, headers: Headers::new(), fin: false }]);
        end.written();
        (end, stream)
    }

    /// A server with a stream that a client opened.
    fn with_opened() -> (Self, StreamId) {
        let mut end = Self::server();
        let frame = end.block(FrameKind::SynStream, 0, 1, &port(80));
        assert_eq!(end.take(&frame), [Event::Opened { stream: id(1), headers: port(80), fin: false }]);
        (end, id(1))
    }

    /// All events of what the peer sends.
    fn take(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.input.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = self.session.receive(&mut self.input).unwrap() {
            events.push(event);
        }
        events
    }

    /// What the peer breaks the session with.
    fn breaks(&mut self, bytes: &[u8]) -> SessionError {
        self.input.extend_from_slice(bytes);
        self.session.receive(&mut self.input).unwrap_err()
    }

    /// Takes the output.
    fn written(&mut self) -> Vec<u8> {
        let output = self.session.output();
        output.copy_to_bytes(output.remaining()).to_vec()
    }

    /// A frame of the peer with headers.
    fn block(&mut self, kind: FrameKind, flags: u8, number: u32, headers: &Headers) -> Vec<u8> {
        self.raw_block(kind, flags, number, &headers.to_block().unwrap())
    }

    fn raw_block(&mut self, kind: FrameKind, flags: u8, number: u32, block: &[u8]) -> Vec<u8> {
        let fixed: &[u8] = if kind == FrameKind::SynStream { &[0; 6] } else { &[] };
        let block = self.peer.compress(block);
        control(kind, flags, &[&number.to_be_bytes(), fixed, &block].concat())
    }
}

fn id(number: u32) -> StreamId {
    StreamId::new(number).unwrap()
}

fn port(port: u16) -> Headers {
    Headers::from([("streamType", "data"), ("port", &port.to_string()), ("requestID", "0")])
}

fn control(kind: FrameKind, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut output = Output::default();
    write_control(&mut output, kind, flags, &[body]);
    output.pop().unwrap().to_vec()
}

fn data(number: u32, fin: bool, bytes: &[u8]) -> Vec<u8> {
    [&data_head(id(number), fin, bytes.len())[..], bytes].concat()
}

fn reset(number: u32, status: Status) -> Vec<u8> {
    control(FrameKind::RstStream, 0, &[number.to_be_bytes(), status.code().to_be_bytes()].concat())
}

fn ping(number: u32) -> Vec<u8> {
    control(FrameKind::Ping, 0, &number.to_be_bytes())
}

fn go_away(last: u32, status: GoAwayStatus) -> Vec<u8> {
    control(FrameKind::GoAway, 0, &[last.to_be_bytes(), status.code().to_be_bytes()].concat())
}

fn received(stream: StreamId, bytes: &'static [u8], fin: bool) -> Event {
    Event::Data { stream, bytes: Bytes::from_static(bytes), fin }
}
