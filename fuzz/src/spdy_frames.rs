//! What a peer sends in a SPDY session: as whole frames, and in pieces.
//!
//! The first byte says which end reads (bit 0: the server) and in which pieces (the other bits: their length, 0 for all
//! at once); the rest is what the peer sends.

use bytes::{Buf as _, BytesMut};
use portgate_spdy::{Event, Headers, Limits, MAX_CONTROL_FRAME, MAX_HEADER_BLOCK, Session, SessionError};

use crate::Target;

/// `spdy`, in both roles
pub const TARGET: Target = Target { name: "spdy_frames", check, growth: 100 };

const LIMITS: Limits = Limits { peer_streams: 5, send_buffer: 1000 };

/// The streams that this end has open before the peer says anything.
const OWN_STREAMS: usize = 10;

/// The length of a frame's head.
const FRAME_HEAD: usize = 8;

/// More answers than this never wait, in bytes, and the last `GOAWAY` with them.
const ANSWERS: usize = 65 * 1024;

fn check(data: &[u8]) -> bool {
    let Some((head, said)) = data.split_first() else { return false };
    let is_server = head & 1 == 1;
    let whole = read(is_server, said, said.len());
    let pieces = read(is_server, said, usize::from(head >> 1));
    assert_eq!(whole, pieces, "what is said does not depend on how it is cut");
    !whole.0.is_empty()
}

/// All events of what was said, and why the session broke, if it did.
fn read(is_server: bool, said: &[u8], piece: usize) -> (Vec<Event>, Option<SessionError>) {
    let mut session = if is_server { Session::server(LIMITS) } else { Session::client(LIMITS) };
    for _ in 0..OWN_STREAMS {
        session.open(&Headers::new(), false).expect("a new session opens streams");
    }
    let waiting = session.output().remaining();
    let (mut input, mut events) = (BytesMut::new(), Vec::new());
    for piece in said.chunks(piece.max(1)) {
        input.extend_from_slice(piece);
        loop {
            let outcome = session.receive(&mut input);
            assert!(session.output().remaining() <= waiting + ANSWERS);
            assert!(session.open_streams() <= OWN_STREAMS + LIMITS.peer_streams);
            match outcome {
                Ok(Some(event)) => append(&mut events, event),
                Ok(None) => break,
                Err(error) => {
                    assert!(session.is_idle() && !session.can_open());
                    assert_eq!(session.receive(&mut input), Err(error.clone()), "it stays broken");
                    return (events, Some(error));
                }
            }
        }
        assert!(input.len() < MAX_CONTROL_FRAME + FRAME_HEAD, "only a part of one control frame is left");
    }
    let data = events.iter().map(|event| if let Event::Data { bytes, .. } = event { bytes.len() } else { 0 });
    assert!(data.sum::<usize>() <= said.len(), "no data that was not sent");
    (events, None)
}

/// Adds an event. Pieces of data that follow one another are one.
fn append(events: &mut Vec<Event>, event: Event) {
    if let Event::Opened { headers, .. } | Event::Replied { headers, .. } | Event::Headers { headers, .. } = &event {
        let length: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(length <= MAX_HEADER_BLOCK);
    }
    match (events.last_mut(), event) {
        (Some(Event::Data { stream, bytes, fin }), Event::Data { stream: next, bytes: further, fin: is_last })
            if *stream == next =>
        {
            *bytes = [&bytes[..], &further[..]].concat().into();
            *fin |= is_last;
        }
        (_, event) => events.push(event),
    }
}
