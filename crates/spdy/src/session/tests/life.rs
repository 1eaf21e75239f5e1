//! How streams and sessions live and end when nobody breaks a rule.

use super::*;

#[test]
fn a_stream_is_opened_with_the_bytes_that_kubectl_sends_first() {
    let mut end = End::client();
    let headers = Headers::from([("streamType", "error"), ("port", "9999"), ("requestID", "0")]);
    assert_eq!(end.session.open(&headers, false), Ok(id(1)));
    assert_eq!(end.session.open(&headers, true), Ok(id(3)));
    let written = end.written();
    let Some(Head::Control { version: 3, kind: FrameKind::SynStream, flags: 0, length }) = Head::read(&written) else {
        panic!("{written:?}");
    };
    assert!(written[8..].starts_with(&[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2]));
    let second = Head::read(&written[8 + length..]).unwrap();
    assert!(matches!(second, Head::Control { kind: FrameKind::SynStream, flags: FLAG_FIN, .. }), "{second:?}");
}

#[test]
fn each_direction_is_finished_apart() {
    let (mut end, stream) = End::with_stream();
    end.session.send(stream, Bytes::from_static(b"request"), true).unwrap();
    assert_eq!(end.written(), data(1, true, b"request"));
    assert_eq!(end.session.send(stream, Bytes::new(), true), Err(CallError::Finished(stream)));
    assert_eq!(end.take(&data(1, false, b"answer")), [received(stream, b"answer", false)]);
    assert_eq!(end.session.open_streams(), 1);
    assert_eq!(end.take(&data(1, true, b"")), [received(stream, b"", true)]);
    assert!(end.session.is_idle());
    assert_eq!(end.session.send(stream, Bytes::new(), true), Err(CallError::NotOpen(stream)));
    assert_eq!(end.take(&data(1, false, b"late")), []);
    assert!(end.written().is_empty(), "what is late needs no answer");
}

#[test]
fn a_stream_of_the_peer_is_replied_to_once_before_data_is_sent() {
    let (mut end, stream) = End::with_opened();
    let bytes = Bytes::from_static(b"early");
    assert_eq!(end.session.send(stream, bytes, false), Err(CallError::NotReplied(stream)));
    assert_eq!(end.session.send_headers(stream, &port(80), false), Err(CallError::NotReplied(stream)));
    assert!(end.written().is_empty());
    end.session.reply(stream, &Headers::new(), false).unwrap();
    let reply = b"\x80\x03\0\x02\0\0\0\x18\0\0\0\x01\x78\xf9\xe3\xc6\xa7\xc2\0\x04\0\xfb\xff\0\0\0\0\0\0\0\xff\xff";
    assert_eq!(end.written(), reply, "no headers, as a recorded server has none");
    assert_eq!(end.session.reply(stream, &Headers::new(), false), Err(CallError::NoReplyDue(stream)));
    end.session.send(stream, Bytes::new(), true).unwrap();
    assert_eq!(end.take(&data(1, true, b"")), [received(stream, b"", true)]);
    assert!(end.session.is_idle());
}

#[test]
fn nobody_replies_to_its_own_stream() {
    let (mut end, stream) = End::with_stream();
    assert_eq!(end.session.reply(stream, &Headers::new(), false), Err(CallError::NoReplyDue(stream)));
    assert_eq!(end.session.reply(id(2), &Headers::new(), false), Err(CallError::NotOpen(id(2))));
}

#[test]
fn data_may_follow_a_new_stream_before_its_reply() {
    let mut end = End::client();
    let stream = end.session.open(&port(80), false).unwrap();
    end.written();
    end.session.send(stream, Bytes::from_static(b"at once"), false).unwrap();
    assert_eq!(end.written(), data(1, false, b"at once"));
}

#[test]
fn a_reply_may_be_all_that_the_peer_says() {
    let mut end = End::client();
    let stream = end.session.open(&port(80), true).unwrap();
    let reply = end.block(FrameKind::SynReply, FLAG_FIN, 1, &port(1));
    assert_eq!(end.take(&reply), [Event::Replied { stream, headers: port(1), fin: true }]);
    assert!(end.session.is_idle());
}

#[test]
fn further_headers_may_end_a_direction() {
    let (mut end, stream) = End::with_stream();
    let headers = end.block(FrameKind::Headers, FLAG_FIN, 1, &port(1));
    assert_eq!(end.take(&headers), [Event::Headers { stream, headers: port(1), fin: true }]);
    end.session.send_headers(stream, &port(2), true).unwrap();
    assert!(matches!(Head::read(&end.written()), Some(Head::Control { kind: FrameKind::Headers, flags: 1, .. })));
    assert!(end.session.is_idle());
}

#[test]
fn a_unidirectional_stream_is_finished_for_this_end_from_the_beginning() {
    let mut end = End::server();
    let frame = end.block(FrameKind::SynStream, FLAG_UNIDIRECTIONAL, 1, &port(80));
    assert_eq!(end.take(&frame).len(), 1);
    assert_eq!(end.session.reply(id(1), &Headers::new(), false), Err(CallError::Finished(id(1))));
    assert_eq!(end.take(&data(1, true, b"all")), [received(id(1), b"all", true)]);
    assert!(end.session.is_idle());
}

#[test]
fn a_reset_by_the_peer_is_told_once() {
    let (mut end, stream) = End::with_stream();
    let twice = [reset(1, Status::Cancel), reset(1, Status::Cancel), reset(99, Status::Cancel)].concat();
    assert_eq!(end.take(&twice), [Event::Reset { stream, status: Status::Cancel }]);
    assert!(end.session.is_idle() && end.written().is_empty());
}

#[test]
fn what_crosses_a_reset_of_this_end_is_dropped() {
    let mut end = End::client();
    let stream = end.session.open(&port(80), false).unwrap();
    end.written();
    end.session.reset(stream, Status::Cancel);
    end.session.reset(stream, Status::Cancel);
    assert_eq!(end.written(), reset(1, Status::Cancel));
    let reply = end.block(FrameKind::SynReply, 0, 1, &port(1));
    let headers = end.block(FrameKind::Headers, 0, 1, &port(1));
    let crossing = [reply, data(1, false, b"on its way"), headers, reset(1, Status::InvalidStream)].concat();
    assert_eq!(end.take(&crossing), []);
    assert!(end.written().is_empty() && end.input.is_empty());
}

#[test]
fn a_reset_in_the_midst_of_a_frame_drops_the_rest_of_it() {
    let (mut end, stream) = End::with_stream();
    let other = end.session.open(&port(81), false).unwrap();
    let reply = end.block(FrameKind::SynReply, 0, 3, &Headers::new());
    end.take(&reply);
    let frame = data(1, true, b"first second");
    assert_eq!(end.take(&frame[..13]), [received(stream, b"first", false)]);
    end.session.reset(stream, Status::Cancel);
    assert_eq!(end.take(&frame[13..]), []);
    assert_eq!(end.take(&data(3, false, b"next")), [received(other, b"next", false)]);
}

#[test]
fn pings_of_the_peer_are_answered_with_themselves() {
    let mut end = End::client();
    assert_eq!(end.take(&ping(2)), []);
    assert_eq!(end.written(), ping(2));
}

#[test]
fn answers_to_own_pings_are_told_once() {
    let mut end = End::client();
    let (first, second) = (end.session.ping().unwrap(), end.session.ping().unwrap());
    assert_eq!(end.written(), [ping(1), ping(3)].concat());
    let answers = [ping(3), ping(1), ping(3), ping(5)].concat();
    assert_eq!(end.take(&answers), [Event::Pong { ping: second }, Event::Pong { ping: first }]);
    assert!(end.written().is_empty());
    let mut server = End::server();
    assert_eq!(server.session.ping().unwrap().number(), 2);
}

#[test]
fn settings_windows_unknown_frames_and_empty_data_are_passed_over() {
    let (mut end, stream) = End::with_stream();
    let frames = [
        control(FrameKind::Settings, 1, b"\0\0\0\x01\0\0\0\x07\0\0\0\x64"),
        control(FrameKind::WindowUpdate, 0, b"\0\0\0\x01\0\0\x10\0"),
        control(FrameKind::Unknown(10), 7, b"credentials"),
        data(1, false, b""),
        data(1, false, b"x"),
    ];
    assert_eq!(end.take(&frames.concat()), [received(stream, b"x", false)]);
    assert!(end.written().is_empty());
}

#[test]
fn a_peer_that_goes_leaves_later_streams_behind() {
    let (mut end, stream) = End::with_stream();
    let late = end.session.open(&port(81), false).unwrap();
    assert!(end.session.can_open());
    let events = end.take(&go_away(1, GoAwayStatus::Ok));
    let gone = Event::GoneAway { last: Some(stream), status: GoAwayStatus::Ok };
    assert_eq!(events, [gone, Event::Reset { stream: late, status: Status::RefusedStream }]);
    assert_eq!(end.session.open(&port(82), false), Err(CallError::GoingAway));
    assert!(!end.session.can_open());
    assert_eq!(end.take(&data(1, true, b"rest")), [received(stream, b"rest", true)]);
    end.session.send(stream, Bytes::from_static(b"rest"), true).unwrap();
    assert!(end.session.is_idle());
}

#[test]
fn this_end_goes_once_takes_no_new_streams_and_keeps_the_old() {
    let (mut end, stream) = End::with_opened();
    end.session.go_away(GoAwayStatus::Ok);
    end.session.go_away(GoAwayStatus::InternalError);
    assert_eq!(end.written(), go_away(1, GoAwayStatus::Ok));
    assert_eq!(end.session.open(&port(80), false), Err(CallError::GoingAway));
    let late = end.block(FrameKind::SynStream, 0, 3, &port(80));
    assert_eq!(
        end.take(&[late, data(3, true, b"late"), data(1, true, b"old")].concat()),
        [received(stream, b"old", true)]
    );
    assert!(end.written().is_empty());
}
