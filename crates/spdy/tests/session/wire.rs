//! One end of a session and the bytes on their way to it.

use bytes::{Buf as _, Bytes, BytesMut};
use portgate_spdy::{Event, Headers, Limits, Session, SessionError, StreamId};

/// One end.
pub(crate) struct End {
    pub(crate) session: Session,
    pub(crate) input: BytesMut,
}

impl End {
    pub(crate) fn client(limits: Limits) -> Self {
        Self { session: Session::client(limits), input: BytesMut::new() }
    }

    pub(crate) fn server(limits: Limits) -> Self {
        Self { session: Session::server(limits), input: BytesMut::new() }
    }

    /// Takes bytes, and returns the events that they complete.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, SessionError> {
        self.input.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(event) = self.session.receive(&mut self.input)? {
            events.push(event);
        }
        Ok(events)
    }

    /// Takes at most `limit` bytes of the output.
    pub(crate) fn written(&mut self, limit: usize) -> Bytes {
        let output = self.session.output();
        output.copy_to_bytes(limit.min(output.remaining()))
    }
}

/// The headers of one of Kubernetes' streams.
pub(crate) fn port(port: u16) -> Headers {
    Headers::from([("streamType", "data"), ("port", &port.to_string()), ("requestID", "0")])
}

pub(crate) fn id(number: u32) -> StreamId {
    StreamId::new(number).unwrap()
}

/// Events with the pieces of data that follow one another joined, as they would be had all come at once.
pub(crate) fn joined(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut joined: Vec<Event> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (Some(Event::Data { stream, bytes, fin }), Event::Data { stream: next, bytes: further, fin: is_last })
                if *stream == next =>
            {
                *bytes = [&bytes[..], &further[..]].concat().into();
                *fin |= is_last;
            }
            (_, event) => joined.push(event),
        }
    }
    joined
}
