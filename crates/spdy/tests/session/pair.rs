//! A client and a server that talk to each other through memory.

use bytes::{Bytes, BytesMut};
use portgate_spdy::{Event, GoAwayStatus, Headers, Limits, Status, StreamId};

use crate::wire::{End, id, joined, port};

/// Both ends.
struct Pair {
    client: End,
    server: End,
}

impl Pair {
    fn new() -> Self {
        Self { client: End::client(Limits::default()), server: End::server(Limits::default()) }
    }

    /// A pair with a stream that the client opened and the server accepted.
    fn with_stream() -> (Self, StreamId) {
        let mut pair = Self::new();
        let stream = pair.open(80);
        (pair, stream)
    }

    fn open(&mut self, number: u16) -> StreamId {
        let stream = self.client.session.open(&port(number), false).unwrap();
        assert_eq!(self.at_server(), [Event::Opened { stream, headers: port(number), fin: false }]);
        self.server.session.reply(stream, &Headers::new(), false).unwrap();
        assert_eq!(self.at_client(), [Event::Replied { stream, headers: Headers::new(), fin: false }]);
        stream
    }

    /// Carries what the client wrote, and returns what the server makes of it.
    fn at_server(&mut self) -> Vec<Event> {
        joined(self.server.take(&self.client.written(usize::MAX)).unwrap())
    }

    /// Carries what the server wrote, and returns what the client makes of it.
    fn at_client(&mut self) -> Vec<Event> {
        joined(self.client.take(&self.server.written(usize::MAX)).unwrap())
    }
}

fn data(stream: StreamId, bytes: &'static [u8], fin: bool) -> Event {
    Event::Data { stream, bytes: Bytes::from_static(bytes), fin }
}

#[test]
fn an_echo_comes_back_through_a_half_closed_stream() {
    let (mut pair, stream) = Pair::with_stream();
    pair.client.session.send(stream, Bytes::from_static(b"echo"), true).unwrap();
    assert_eq!(pair.at_server(), [data(stream, b"echo", true)]);
    pair.server.session.send(stream, Bytes::from_static(b"echo"), false).unwrap();
    assert_eq!(pair.at_client(), [data(stream, b"echo", false)]);
    assert_eq!((pair.client.session.open_streams(), pair.server.session.open_streams()), (1, 1));
    pair.server.session.send(stream, Bytes::new(), true).unwrap();
    assert_eq!(pair.at_client(), [data(stream, b"", true)]);
    assert!(pair.client.session.is_idle() && pair.server.session.is_idle());
}

#[test]
fn a_server_may_speak_first() {
    let (mut pair, stream) = Pair::with_stream();
    pair.server.session.send(stream, Bytes::from_static(b"SSH-2.0-OpenSSH\r\n"), false).unwrap();
    assert_eq!(pair.at_client(), [data(stream, b"SSH-2.0-OpenSSH\r\n", false)]);
}

#[test]
fn data_that_does_not_wait_for_the_reply_arrives_after_the_opening() {
    let mut pair = Pair::new();
    let stream = pair.client.session.open(&port(80), false).unwrap();
    pair.client.session.send(stream, Bytes::from_static(b"GET /"), true).unwrap();
    let opened = Event::Opened { stream, headers: port(80), fin: false };
    assert_eq!(pair.at_server(), [opened, data(stream, b"GET /", true)]);
}

#[test]
fn a_server_opens_streams_with_even_numbers() {
    let mut pair = Pair::new();
    let stream = pair.server.session.open(&port(80), true).unwrap();
    assert_eq!(pair.at_client(), [Event::Opened { stream: id(2), headers: port(80), fin: true }]);
    pair.client.session.reply(stream, &port(81), true).unwrap();
    assert_eq!(pair.at_server(), [Event::Replied { stream, headers: port(81), fin: true }]);
    assert!(pair.client.session.is_idle() && pair.server.session.is_idle());
}

#[test]
fn resets_that_cross_each_other_are_dropped_at_both_ends() {
    let (mut pair, stream) = Pair::with_stream();
    pair.client.session.send(stream, Bytes::from_static(b"lost"), false).unwrap();
    pair.server.session.send(stream, Bytes::from_static(b"lost"), false).unwrap();
    pair.client.session.reset(stream, Status::Cancel);
    pair.server.session.reset(stream, Status::InternalError);
    assert_eq!((pair.at_server(), pair.at_client()), (vec![], vec![]));
    assert_eq!((pair.at_server(), pair.at_client()), (vec![], vec![]));
    assert!(!pair.client.session.has_output() && !pair.server.session.has_output());
}

#[test]
fn both_ends_ping_at_once() {
    let mut pair = Pair::new();
    let (from_client, from_server) = (pair.client.session.ping().unwrap(), pair.server.session.ping().unwrap());
    assert_eq!(pair.at_server(), []);
    assert_eq!(pair.at_client(), [Event::Pong { ping: from_client }]);
    assert_eq!(pair.at_server(), [Event::Pong { ping: from_server }]);
}

#[test]
fn a_server_that_goes_is_told_to_the_client_and_open_streams_live_on() {
    let (mut pair, stream) = Pair::with_stream();
    pair.server.session.go_away(GoAwayStatus::Ok);
    assert_eq!(pair.at_client(), [Event::GoneAway { last: Some(stream), status: GoAwayStatus::Ok }]);
    assert!(!pair.client.session.can_open());
    pair.server.session.send(stream, Bytes::from_static(b"last"), true).unwrap();
    assert_eq!(pair.at_client(), [data(stream, b"last", true)]);
}

#[test]
fn a_reader_that_stops_leaves_the_rest_where_it_is() {
    let (mut pair, stream) = Pair::with_stream();
    let other = pair.open(81);
    let session = &mut pair.client.session;
    session.send(stream, Bytes::from(vec![1; 100_000]), false).unwrap();
    session.send(other, Bytes::from_static(b"other"), false).unwrap();
    let frames = pair.client.written(usize::MAX);
    let mut input = BytesMut::from(&frames[..60_000]);
    let first = pair.server.session.receive(&mut input).unwrap().unwrap();
    assert!(matches!(&first, Event::Data { bytes, .. } if bytes.len() == 60_000 - 8));
    // For as long as nobody asks for more, all that comes stays here, and the session holds no byte of it.
    input.extend_from_slice(&frames[60_000..]);
    let second = pair.server.session.receive(&mut input).unwrap().unwrap();
    assert!(matches!(&second, Event::Data { bytes, .. } if bytes.len() == 40_008));
    assert_eq!(input.len(), 8 + 5, "the other stream's frame");
    assert_eq!(pair.server.session.receive(&mut input), Ok(Some(data(other, b"other", false))));
}

#[test]
fn a_mebibyte_arrives_whole_however_the_sender_is_held_back() {
    let (mut pair, stream) = Pair::with_stream();
    let all: Bytes =
        (0..1 << 20).map(|at: u32| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>().into();
    let (mut unsent, mut arrived) = (all.clone(), Vec::new());
    while arrived.len() < all.len() {
        let length = pair.client.session.send_capacity().min(unsent.len()).min(20_000);
        if length > 0 {
            pair.client.session.send(stream, unsent.split_to(length), unsent.is_empty()).unwrap();
        }
        let frames = pair.client.written(7_777);
        for event in pair.server.take(&frames).unwrap() {
            let Event::Data { bytes, fin, .. } = event else { panic!("{event:?}") };
            arrived.extend_from_slice(&bytes);
            assert_eq!(fin, arrived.len() == all.len());
        }
    }
    assert!(arrived == all && !pair.client.session.has_output());
}
