//! The recorded sessions, decoded and encoded again.

use std::fmt::Write as _;

use bytes::Bytes;
use portgate_spdy::{Event, Headers, Limits, StreamId};

use crate::recording::{Recording, Side};
use crate::wire::{End, id};

/// The streams of a recorded session.
const STREAMS: [u32; 10] = [1, 3, 5, 7, 9, 11, 13, 15, 17, 19];

/// What a server hears of what a recorded client says.
fn heard_by_server(recording: &Recording) -> Vec<Event> {
    End::server(Limits::default()).take(&recording.said_by(Side::Client)).unwrap()
}

/// What a client hears of what a recorded server says.
fn heard_by_client(recording: &Recording) -> Vec<Event> {
    let mut client = End::client(Limits::default());
    open_streams(&mut client);
    client.take(&recording.said_by(Side::Server)).unwrap()
}

fn open_streams(client: &mut End) {
    for number in STREAMS {
        assert_eq!(client.session.open(&Headers::new(), false), Ok(id(number)));
    }
}

/// Events as text, one a line.
fn transcript(events: &[Event]) -> String {
    let end = |fin: &bool| if *fin { ", end" } else { "" };
    let mut text = String::new();
    for event in events {
        let _ = match event {
            Event::Opened { stream, headers, fin } => writeln!(text, "{stream} opened: {}{}", list(headers), end(fin)),
            Event::Replied { stream, headers, fin } => {
                writeln!(text, "{stream} replied to: {}{}", list(headers), end(fin))
            }
            Event::Data { stream, bytes, fin } => writeln!(text, "{stream}: {:?}{}", Text(bytes), end(fin)),
            other => writeln!(text, "{other:?}"),
        };
    }
    text
}

fn list(headers: &Headers) -> String {
    let pairs = headers.iter().map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value)));
    pairs.collect::<Vec<_>>().join(" ")
}

/// Bytes that are text.
struct Text<'a>(&'a Bytes);

impl std::fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", str::from_utf8(self.0).unwrap())
    }
}

#[test]
fn all_that_kubectl_said_is_heard() {
    insta::assert_snapshot!("upgrade_client", transcript(&heard_by_server(&Recording::upgrade())));
    insta::assert_snapshot!("websocket_client", transcript(&heard_by_server(&Recording::websocket())));
}

#[test]
fn all_that_the_api_server_said_is_heard() {
    insta::assert_snapshot!("upgrade_server", transcript(&heard_by_client(&Recording::upgrade())));
    insta::assert_snapshot!("websocket_server", transcript(&heard_by_client(&Recording::websocket())));
}

#[test]
fn a_session_that_is_replayed_piece_by_piece_ends_with_no_stream_left() {
    for recording in Recording::both() {
        let (mut client, mut server) = (End::client(Limits::default()), End::server(Limits::default()));
        let (mut at_client, mut at_server) = (0, 0);
        for (side, bytes) in recording.pieces() {
            match side {
                Side::Client => {
                    let events = server.take(bytes).unwrap();
                    at_server += events.len();
                    say(&mut client, &events);
                }
                Side::Server => {
                    let events = client.take(bytes).unwrap();
                    at_client += events.len();
                    say(&mut server, &events);
                }
            }
        }
        // A frame that came in pieces may be several events.
        assert!(at_server >= heard_by_server(&recording).len() && at_client >= heard_by_client(&recording).len());
        assert!(client.session.is_idle() && server.session.is_idle());
        assert!(client.input.is_empty() && server.input.is_empty());
    }
}

/// Does what the peer heard, so that it is said again.
fn say(end: &mut End, events: &[Event]) {
    let session = &mut end.session;
    for event in events.iter().cloned() {
        match event {
            Event::Opened { stream, headers, fin } => assert_eq!(session.open(&headers, fin), Ok(stream)),
            Event::Replied { stream, headers, fin } => session.reply(stream, &headers, fin).unwrap(),
            Event::Data { stream, bytes, fin } => session.send(stream, bytes, fin).unwrap(),
            Event::GoneAway { last, status } => {
                assert_eq!(last, None);
                session.go_away(status);
            }
            other => panic!("nobody said {other:?}"),
        }
    }
}

#[test]
fn what_a_client_says_again_are_the_recorded_frames() {
    for recording in Recording::both() {
        let heard = heard_by_server(&recording);
        let mut client = End::client(Limits::default());
        say(&mut client, &heard);
        let said = client.written(usize::MAX);
        assert_same_frames(&said, &recording.said_by(Side::Client));
        let again = End::server(Limits::default()).take(&said).unwrap();
        assert_eq!(again, heard, "the compressed headers too, names and values in order");
    }
}

#[test]
fn what_a_server_says_again_are_the_recorded_frames() {
    for recording in Recording::both() {
        let heard = heard_by_client(&recording);
        let mut server = End::server(Limits::default());
        server.take(&recording.said_by(Side::Client)).unwrap();
        say(&mut server, &heard);
        let said = server.written(usize::MAX);
        assert_same_frames(&said, &recording.said_by(Side::Server));
        let mut client = End::client(Limits::default());
        open_streams(&mut client);
        assert_eq!(client.take(&said).unwrap(), heard, "the compressed headers too");
    }
}

/// Compares frame by frame. Go compresses headers and this end stores them, so these blocks are left to be compared after
/// decoding; all else is the same to the byte.
fn assert_same_frames(said: &[u8], recorded: &[u8]) {
    let (said, recorded) = (frames(said), frames(recorded));
    assert_eq!(said.len(), recorded.len());
    let mut blocks = 0;
    for (said, recorded) in said.iter().zip(&recorded) {
        let Some(block) = block_of(recorded) else {
            assert_eq!(said, recorded);
            continue;
        };
        assert_eq!(block_of(said), Some(block));
        assert_eq!(said[..5], recorded[..5], "kind and flags; a length follows");
        assert_eq!(said[8..block], recorded[8..block], "stream, and the fixed fields of an opening");
        blocks += 1;
    }
    assert_eq!(blocks, STREAMS.len());
}

/// Cuts bytes into frames.
fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while let Some([.., a, b, c]) = bytes.first_chunk::<8>() {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let (frame, rest) = bytes.split_at(8 + length);
        frames.push(frame);
        bytes = rest;
    }
    assert!(bytes.is_empty());
    frames
}

/// Where the compressed headers of a frame begin, if it has any.
fn block_of(frame: &[u8]) -> Option<usize> {
    match frame[..4] {
        [0x80, 3, 0, 1] => Some(18),
        [0x80, 3, 0, 2] => Some(12),
        _ => None,
    }
}

#[test]
fn the_refused_port_is_told_of_on_its_error_stream_only() {
    let error = |event: &Event| match event {
        Event::Data { stream, bytes, .. } if bytes.starts_with(b"error forwarding port 7777") => Some(*stream),
        _ => None,
    };
    for recording in Recording::both() {
        let events = heard_by_client(&recording);
        let streams: Vec<StreamId> = events.iter().filter_map(error).collect();
        assert_eq!(streams, [id(17)]);
    }
}
