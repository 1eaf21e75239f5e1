//! Peers that break rules: some end a stream, some the session.

use super::*;
use crate::error::BlockError;

/// Sends `frame`, and expects an event of a reset and a frame of it.
fn resets(mut end: End, frame: &[u8], stream: StreamId, status: Status) {
    assert_eq!(end.take(frame), [Event::Reset { stream, status }]);
    assert_eq!(end.written(), reset(stream.number(), status));
    assert_eq!(end.take(&data(stream.number(), true, b"more")), []);
    assert!(end.session.is_idle() && end.written().is_empty());
}

#[test]
fn data_of_a_stream_that_never_was_is_answered_and_dropped() {
    for number in [3, 2] {
        let (mut end, stream) = End::with_stream();
        let frames = [data(number, true, b"whose?"), data(1, false, b"mine")].concat();
        assert_eq!(end.take(&frames), [received(stream, b"mine", false)]);
        assert_eq!(end.written(), reset(number, Status::InvalidStream));
    }
}

#[test]
fn replies_and_headers_of_a_stream_that_never_was_are_answered() {
    for kind in [FrameKind::SynReply, FrameKind::Headers] {
        let mut end = End::client();
        let frame = end.block(kind, 0, 1, &port(80));
        assert_eq!(end.take(&frame), []);
        assert_eq!(end.written(), reset(1, Status::InvalidStream));
    }
}

#[test]
fn data_or_headers_after_the_end_reset_the_stream() {
    for with_headers in [false, true] {
        let (mut end, stream) = End::with_stream();
        end.take(&data(1, true, b""));
        let headers = end.block(FrameKind::Headers, 0, 1, &port(80));
        let frame = if with_headers { headers } else { data(1, false, b"more") };
        resets(end, &frame, stream, Status::StreamAlreadyClosed);
    }
}

#[test]
fn data_before_the_reply_resets_the_stream() {
    let mut end = End::client();
    let stream = end.session.open(&port(80), false).unwrap();
    end.written();
    resets(end, &data(1, false, b"early"), stream, Status::ProtocolError);
}

#[test]
fn a_second_reply_resets_the_stream() {
    let (mut end, stream) = End::with_stream();
    let reply = end.block(FrameKind::SynReply, 0, 1, &Headers::new());
    resets(end, &reply, stream, Status::StreamInUse);
}

#[test]
fn a_reply_to_ones_own_stream_resets_it() {
    let (mut end, stream) = End::with_opened();
    let reply = end.block(FrameKind::SynReply, 0, 1, &Headers::new());
    resets(end, &reply, stream, Status::ProtocolError);
}

#[test]
fn a_stream_that_is_opened_twice_is_reset() {
    let (mut end, stream) = End::with_opened();
    let again = end.block(FrameKind::SynStream, 0, 1, &port(81));
    resets(end, &again, stream, Status::ProtocolError);
}

#[test]
fn names_in_upper_case_cost_the_stream_and_no_other() {
    let upper = b"\0\0\0\x01\0\0\0\x04Port\0\0\0\x0280";
    let (mut end, stream) = End::with_opened();
    let headers = end.raw_block(FrameKind::Headers, 0, 1, upper);
    let opening = end.raw_block(FrameKind::SynStream, 0, 3, upper);
    let next = end.block(FrameKind::SynStream, 0, 5, &port(82));
    let events = end.take(&[headers, opening, next].concat());
    let broken = Event::Reset { stream, status: Status::ProtocolError };
    assert_eq!(events, [broken, Event::Opened { stream: id(5), headers: port(82), fin: false }]);
    assert_eq!(end.written(), [reset(1, Status::ProtocolError), reset(3, Status::ProtocolError)].concat());
    let mut client = End::client();
    let stream = client.session.open(&port(80), false).unwrap();
    client.written();
    let reply = client.raw_block(FrameKind::SynReply, 0, 1, upper);
    resets(client, &reply, stream, Status::ProtocolError);
}

#[test]
fn a_number_that_is_not_the_peers_breaks_the_session() {
    let mut end = End::server();
    let frame = end.block(FrameKind::SynStream, 0, 2, &port(80));
    assert_eq!(end.breaks(&frame), SessionError::NotItsNumber { stream: id(2) });
}

#[test]
fn a_number_that_was_passed_breaks_the_session() {
    let mut end = End::server();
    let frame = end.block(FrameKind::SynStream, 0, 5, &port(80));
    end.take(&frame);
    let frame = end.block(FrameKind::SynStream, 0, 3, &port(80));
    let error = end.breaks(&frame);
    assert_eq!(error.to_string(), "the peer opened stream 3 after stream 5");
}

#[test]
fn frames_that_cannot_be_break_the_session() {
    let with_version = |version| [0x80, version, 0, 6, 0, 0, 0, 4, 0, 0, 0, 1];
    assert_eq!(End::client().breaks(&with_version(2)), SessionError::Version { version: 2 });
    let http = End::client().breaks(b"\xffTTP/1.1 400 Bad Request");
    assert_eq!(http.to_string(), "the peer sent a control frame of SPDY version 32596; 3 is spoken here");
    let data = FrameKind::Data;
    assert_eq!(End::client().breaks(&[0; 8]), SessionError::StreamZero { kind: data });
    let kind = FrameKind::Ping;
    assert_eq!(End::client().breaks(&control(kind, 0, b"12345")), SessionError::WrongLength { kind, length: 5 });
    let no_status = control(FrameKind::RstStream, 0, b"\0\0\0\x01\0\0\0\0");
    assert_eq!(End::client().breaks(&no_status), SessionError::NoStatus { stream: id(1) });
}

#[test]
fn headers_that_cannot_be_read_break_the_session() {
    let mut end = End::server();
    let frame = control(FrameKind::SynStream, 0, b"\0\0\0\x01\0\0\0\0\0\0no zlib");
    let (kind, stream) = (FrameKind::SynStream, id(1));
    assert_eq!(end.breaks(&frame), SessionError::Block { kind, stream, source: BlockError::Compression });
    let mut end = End::server();
    let frame = end.raw_block(kind, 0, 1, b"\0\0\0\x01");
    assert_eq!(end.breaks(&frame), SessionError::Block { kind, stream, source: BlockError::Lengths });
}

#[test]
fn a_broken_session_says_so_to_the_peer_and_to_every_caller() {
    let (mut end, stream) = End::with_stream();
    let frame = control(FrameKind::Ping, 0, b"");
    let failure = end.breaks(&frame);
    assert_eq!(end.breaks(&data(1, false, b"more")), failure);
    end.session.reset(stream, Status::Cancel);
    end.session.go_away(GoAwayStatus::Ok);
    assert_eq!(end.written(), go_away(0, GoAwayStatus::ProtocolError), "and nothing after it");
    let refused = CallError::Session(failure);
    assert_eq!(end.session.open(&port(80), false), Err(refused.clone()));
    assert_eq!(end.session.send(stream, Bytes::new(), true), Err(refused.clone()));
    assert_eq!(end.session.reply(stream, &port(80), false), Err(refused.clone()));
    assert_eq!(end.session.ping(), Err(refused));
    assert!(end.session.is_idle() && !end.session.can_open());
}
