//! What a peer, and an owner, can make a session hold.

use super::*;
use crate::error::BlockError;
use crate::limits::{MAX_ANSWERS, MAX_CONTROL_FRAME, MAX_HEADER_BLOCK};

#[test]
fn streams_over_the_limit_are_refused_until_one_ends() {
    let mut end = End::new(Session::server(Limits { peer_streams: 2, ..Limits::default() }));
    for (number, is_taken) in [(1, true), (3, true), (5, false)] {
        let frame = end.block(FrameKind::SynStream, 0, number, &port(80));
        assert_eq!(end.take(&frame).len(), usize::from(is_taken));
    }
    assert_eq!(end.written(), reset(5, Status::RefusedStream));
    assert_eq!(end.take(&data(5, true, b"pipelined")), []);
    end.take(&reset(1, Status::Cancel));
    let frame = end.block(FrameKind::SynStream, 0, 7, &port(80));
    assert_eq!(end.take(&frame).len(), 1);
    assert!(end.written().is_empty());
}

#[test]
fn data_is_accepted_up_to_the_send_buffer() {
    let limits = Limits { send_buffer: 1000, ..Limits::default() };
    let mut end = End::new(Session::client(limits));
    let stream = end.session.open(&port(80), false).unwrap();
    end.written();
    end.session.send(stream, Bytes::from(vec![1; 900]), false).unwrap();
    assert_eq!(end.session.send_capacity(), 92);
    let error = end.session.send(stream, Bytes::from(vec![2; 93]), true).unwrap_err();
    assert_eq!(error.to_string(), "93 bytes for stream 1 exceed the 92 that the output has room for");
    end.session.send(stream, Bytes::from(vec![2; 92]), false).unwrap();
    assert_eq!(end.session.send_capacity(), 0);
    end.session.send(stream, Bytes::new(), false).unwrap();
    end.session.send(stream, Bytes::new(), true).unwrap();
    let expected = [data(1, false, &[1; 900]), data(1, false, &[2; 92]), data(1, true, b"")];
    assert_eq!(end.written(), expected.concat(), "an end needs no room");
    assert_eq!(end.session.send_capacity(), 1000);
}

#[test]
fn more_than_a_frame_can_carry_is_sent_as_two() {
    let mut end = End::new(Session::client(Limits { send_buffer: 2 * MAX_DATA, ..Limits::default() }));
    let stream = end.session.open(&port(80), false).unwrap();
    end.written();
    end.session.send(stream, Bytes::from(vec![0; MAX_DATA + 1]), true).unwrap();
    let written = end.written();
    assert_eq!(Head::read(&written), Some(Head::Data { stream: 1, fin: false, length: MAX_DATA }));
    assert_eq!(written[8 + MAX_DATA..], data(1, true, &[0]));
}

#[test]
fn a_long_frame_of_data_is_handed_out_as_it_comes() {
    let (mut end, stream) = End::with_stream();
    assert_eq!(end.take(&data_head(stream, true, MAX_DATA)), []);
    let piece = vec![5; MAX_DATA / 15];
    for count in 1..=15 {
        let events = end.take(&piece);
        let [Event::Data { bytes, fin, .. }] = &events[..] else { panic!("{events:?}") };
        assert_eq!((bytes.len(), *fin), (piece.len(), count == 15));
        assert!(end.input.is_empty());
    }
    assert!(MAX_DATA.is_multiple_of(15));
}

#[test]
fn data_is_not_copied() {
    let (mut end, _) = End::with_stream();
    end.input = BytesMut::from(&data(1, false, &[1; 5000])[..]);
    let place = end.input.as_ptr().addr() + 8;
    let Ok(Some(Event::Data { bytes, .. })) = end.session.receive(&mut end.input) else { panic!("no data") };
    assert_eq!((bytes.as_ptr().addr(), bytes.len()), (place, 5000));
}

#[test]
fn a_control_frame_that_is_too_long_breaks_the_session_before_it_has_come() {
    let (kind, length) = (FrameKind::Headers, MAX_CONTROL_FRAME + 1);
    let head = [0x80, 3, 0, 8, 0, 1, 4, 1];
    assert_eq!(End::client().breaks(&head), SessionError::TooLong { kind, length });
}

#[test]
fn the_longest_headers_that_can_be_sent_are_received() {
    let mut seed = 1_u32;
    let mut noise = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed.to_be_bytes()[0]
    };
    let value: Vec<u8> = (0..MAX_HEADER_BLOCK - 16).map(|_| noise()).collect();
    let headers = Headers::from([("name", value)]);
    let mut client = End::client();
    let stream = client.session.open(&headers, true).unwrap();
    let frame = client.written();
    assert!(frame.len() > MAX_HEADER_BLOCK);
    assert_eq!(End::server().take(&frame), [Event::Opened { stream, headers, fin: true }]);
}

#[test]
fn headers_that_are_too_long_change_nothing() {
    let mut end = End::client();
    let headers = Headers::from([("name", vec![0; MAX_HEADER_BLOCK])]);
    assert!(matches!(end.session.open(&headers, true), Err(CallError::HeadersTooLarge { .. })));
    assert!(end.written().is_empty());
    assert_eq!(end.session.open(&port(80), true), Ok(id(1)));
}

#[test]
fn headers_that_become_too_long_break_the_session() {
    let mut end = End::server();
    let frame = end.raw_block(FrameKind::SynStream, 0, 1, &vec![0; MAX_HEADER_BLOCK + 1]);
    let (kind, stream) = (FrameKind::SynStream, id(1));
    assert_eq!(end.breaks(&frame), SessionError::Block { kind, stream, source: BlockError::TooLarge });
}

#[test]
fn a_peer_that_asks_and_does_not_read_breaks_the_session() {
    let mut end = End::client();
    for _ in 0..MAX_ANSWERS / 12 {
        assert_eq!(end.take(&ping(2)), []);
    }
    assert_eq!(end.breaks(&ping(2)), SessionError::Flooded);
    assert!(end.written().len() <= MAX_ANSWERS + 12 + 16);
}

#[test]
fn a_peer_that_reads_may_ask_for_ever() {
    let mut end = End::client();
    let stream = end.session.open(&port(80), false).unwrap();
    for _ in 0..3 * MAX_ANSWERS / 12 {
        assert_eq!(end.take(&ping(2)), []);
        let output = end.session.output();
        output.advance(12.min(output.remaining()));
    }
    assert!(end.session.has_output(), "the output was never empty");
    end.session.send(stream, Bytes::new(), true).unwrap();
}

#[test]
fn numbers_of_streams_end_and_are_never_used_twice() {
    let mut end = End::client();
    end.session.streams.open_own(id(0x7fff_fffd), true);
    assert_eq!(end.session.open(&port(80), true), Ok(id(0x7fff_ffff)));
    assert!(!end.session.can_open());
    assert_eq!(end.session.open(&port(80), true), Err(CallError::Exhausted));
}

#[test]
fn numbers_of_pings_begin_anew() {
    for (mut end, last, first) in [(End::client(), u32::MAX, 1), (End::server(), u32::MAX - 1, 2)] {
        end.session.pings.next = last;
        assert_eq!([end.session.ping(), end.session.ping()], [Ok(PingId::new(last)), Ok(PingId::new(first))]);
    }
}
