//! Whatever two ends do: what one sends on a stream, the other receives, in order and once.

use std::collections::BTreeMap;

use bytes::{Buf as _, Bytes};
use portgate_spdy::{CallError, Event, Headers, Limits, Status, StreamId};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::wire::{End, port};

const LIMITS: Limits = Limits { peer_streams: 1000, send_buffer: 2000 };

/// Which of the two ends.
type Side = usize;

/// Something that an end does, or that happens to what it wrote.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Open { fin: bool },
    Reply { stream: Index, fin: bool },
    Send { stream: Index, length: usize, fin: bool },
    SendHeaders { stream: Index, fin: bool },
    Reset { stream: Index },
    Ping,
    Carry { limit: usize },
}

fn deed() -> impl Strategy<Value = (Side, Deed)> {
    let (stream, fin) = (any::<Index>, || prop::bool::weighted(0.2));
    let deed = prop_oneof![
        2 => fin().prop_map(|fin| Deed::Open { fin }),
        3 => (stream(), fin()).prop_map(|(stream, fin)| Deed::Reply { stream, fin }),
        9 => (stream(), 0..600_usize, fin()).prop_map(|(stream, length, fin)| Deed::Send { stream, length, fin }),
        1 => (stream(), fin()).prop_map(|(stream, fin)| Deed::SendHeaders { stream, fin }),
        1 => stream().prop_map(|stream| Deed::Reset { stream }),
        1 => Just(Deed::Ping),
        6 => (0..2000_usize).prop_map(|limit| Deed::Carry { limit }),
    ];
    (0..2_usize, deed)
}

/// What one end did on a stream, and what it saw of the other.
#[derive(Debug, Default)]
struct Half {
    sent: Vec<u8>,
    headers_sent: usize,
    fin_sent: bool,
    was_reset: bool,
    received: Vec<u8>,
    headers_received: usize,
    replies: usize,
    fin_received: bool,
    resets_received: usize,
}

impl Half {
    fn is_over(&self) -> bool {
        self.was_reset || self.resets_received > 0 || (self.fin_sent && self.fin_received)
    }
}

/// The byte at a place of a stream.
fn place(at: usize) -> u8 {
    u8::try_from(at % 251).unwrap()
}

/// Two ends, and the truth about their streams.
struct Stage {
    ends: [End; 2],
    halves: [BTreeMap<StreamId, Half>; 2],
    pings: [usize; 2],
}

impl Stage {
    fn new() -> Self {
        let ends = [End::client(LIMITS), End::server(LIMITS)];
        Self { ends, halves: [BTreeMap::new(), BTreeMap::new()], pings: [0, 0] }
    }

    /// One of the streams that an end knows.
    fn pick(&self, side: Side, index: Index) -> Option<StreamId> {
        let known = &self.halves[side];
        (!known.is_empty()).then(|| *known.keys().nth(index.index(known.len())).unwrap())
    }

    fn do_it(&mut self, side: Side, deed: Deed) {
        let session = &mut self.ends[side].session;
        match deed {
            Deed::Open { fin } => {
                let stream = session.open(&port(80), fin).unwrap();
                let half = Half { fin_sent: fin, ..Half::default() };
                assert!(self.halves[side].insert(stream, half).is_none());
            }
            Deed::Ping => {
                session.ping().unwrap();
                self.pings[side] += 1;
            }
            Deed::Carry { limit } => self.carry(side, limit),
            Deed::Reply { stream, .. }
            | Deed::Send { stream, .. }
            | Deed::SendHeaders { stream, .. }
            | Deed::Reset { stream } => {
                if let Some(stream) = self.pick(side, stream) {
                    self.do_with(side, stream, deed);
                }
            }
        }
    }

    fn do_with(&mut self, side: Side, stream: StreamId, deed: Deed) {
        let session = &mut self.ends[side].session;
        let half = self.halves[side].get_mut(&stream).unwrap();
        let outcome = match deed {
            Deed::Reply { fin, .. } => session.reply(stream, &Headers::new(), fin).map(|()| half.fin_sent |= fin),
            Deed::SendHeaders { fin, .. } => session.send_headers(stream, &port(1), fin).map(|()| {
                half.headers_sent += 1;
                half.fin_sent |= fin;
            }),
            Deed::Send { length, fin, .. } => {
                let start = half.sent.len();
                let bytes: Vec<u8> = (start..start + length).map(place).collect();
                session.send(stream, Bytes::from(bytes.clone()), fin).map(|()| {
                    half.sent.extend(bytes);
                    half.fin_sent |= fin;
                })
            }
            Deed::Reset { .. } => {
                half.was_reset |= !half.is_over();
                session.reset(stream, Status::Cancel);
                Ok(())
            }
            _ => Ok(()),
        };
        match outcome {
            Err(CallError::NotOpen(_)) => assert!(half.is_over()),
            Err(CallError::Finished(_)) => assert!(half.fin_sent && !half.is_over()),
            Err(CallError::Full { .. } | CallError::NotReplied(_) | CallError::NoReplyDue(_)) | Ok(()) => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Carries some of what an end wrote to the other.
    fn carry(&mut self, from: Side, limit: usize) {
        let to = 1 - from;
        let bytes = self.ends[from].written(limit);
        for event in self.ends[to].take(&bytes).unwrap() {
            self.see(to, event);
        }
    }

    fn see(&mut self, side: Side, event: Event) {
        let stream = match event {
            Event::Opened { stream, .. } => {
                assert!(self.halves[side].insert(stream, Half::default()).is_none(), "opened once");
                stream
            }
            Event::Replied { stream, .. }
            | Event::Headers { stream, .. }
            | Event::Data { stream, .. }
            | Event::Reset { stream, .. } => stream,
            Event::Pong { .. } => return self.pings[side] -= 1,
            Event::GoneAway { .. } => panic!("nobody went"),
        };
        let [half, other] = [side, 1 - side].map(|side| &self.halves[side][&stream]);
        assert!(!half.is_over(), "{event:?} after the end of {stream}");
        assert!(!half.fin_received || matches!(event, Event::Reset { .. }), "{event:?} after all of {stream}");
        let (sent, fin_sent, was_reset) = (other.sent.clone(), other.fin_sent, other.was_reset);
        let headers_sent = other.headers_sent;
        let half = self.halves[side].get_mut(&stream).unwrap();
        match event {
            Event::Opened { fin, .. } => half.fin_received = fin,
            Event::Replied { fin, .. } => (half.replies, half.fin_received) = (half.replies + 1, fin),
            Event::Headers { fin, .. } => (half.headers_received, half.fin_received) = (half.headers_received + 1, fin),
            Event::Data { bytes, fin, .. } => {
                half.received.extend_from_slice(&bytes);
                half.fin_received = fin;
            }
            Event::Reset { status, .. } => {
                assert!(was_reset && status == Status::Cancel);
                half.resets_received += 1;
            }
            Event::Pong { .. } | Event::GoneAway { .. } => {}
        }
        assert!(sent.starts_with(&half.received) && half.replies <= 1 && half.headers_received <= headers_sent);
        assert!(!half.fin_received || (fin_sent && half.received == sent), "the end comes after all data");
    }

    /// Carries all that is left, and checks that every stream came out the same at both ends.
    fn end(mut self) {
        while self.ends.iter_mut().any(|end| end.session.has_output()) {
            self.carry(0, usize::MAX);
            self.carry(1, usize::MAX);
        }
        assert_eq!(self.pings, [0, 0], "every ping was answered");
        assert!(self.halves[0].keys().eq(self.halves[1].keys()));
        for (stream, client) in &self.halves[0] {
            let server = &self.halves[1][stream];
            for (from, to) in [(client, server), (server, client)] {
                if from.was_reset || to.was_reset {
                    assert!(to.is_over(), "{stream}: {from:?} {to:?}");
                } else {
                    assert_eq!((&from.sent, from.fin_sent), (&to.received, to.fin_received), "{stream}");
                    assert_eq!(from.headers_sent, to.headers_received, "{stream}");
                }
            }
        }
        for (end, halves) in self.ends.iter().zip(&self.halves) {
            assert_eq!(end.session.open_streams(), halves.values().filter(|half| !half.is_over()).count());
            assert_eq!((end.input.remaining(), end.session.send_capacity()), (0, LIMITS.send_buffer));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_data_arrives_in_order_and_every_end_is_seen_once(deeds in vec(deed(), 0..400)) {
        let mut stage = Stage::new();
        for (side, deed) in deeds {
            stage.do_it(side, deed);
        }
        stage.end();
    }
}
