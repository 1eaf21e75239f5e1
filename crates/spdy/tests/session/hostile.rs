//! Whatever a peer sends: nothing panics, and little is kept.

use bytes::Buf as _;
use portgate_spdy::{Event, Headers, Limits, MAX_CONTROL_FRAME};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::recording::{Recording, Side};
use crate::wire::{End, id, joined, port};

const LIMITS: Limits = Limits { peer_streams: 5, send_buffer: 1000 };

/// More answers than this never wait.
const ANSWERS: usize = 65 * 1024;

/// Both ends, each with some streams of its own, and a server that has one of the client's.
fn ends() -> [End; 2] {
    let (mut client, mut server) = (End::client(LIMITS), End::server(LIMITS));
    for end in [&mut client, &mut server] {
        for number in 0..3 {
            end.session.open(&port(number), false).unwrap();
        }
    }
    [client, server]
}

/// Feeds bytes in pieces, answers streams, and checks what is kept. Returns whether the session still stands.
fn survives(end: &mut End, pieces: &[&[u8]]) -> bool {
    for piece in pieces {
        let outcome = end.take(piece);
        assert!(end.session.output().remaining() <= ANSWERS);
        assert!(end.session.open_streams() <= 3 + LIMITS.peer_streams);
        let Ok(events) = outcome else {
            assert!(end.session.ping().is_err() && end.session.is_idle());
            assert!(end.session.receive(&mut end.input).is_err());
            return false;
        };
        assert!(end.input.len() < MAX_CONTROL_FRAME + 8, "only a part of one control frame is left");
        for event in events {
            if let Event::Opened { stream, .. } = event {
                // It may have been reset, or be unidirectional.
                let _ = end.session.reply(stream, &Headers::new(), false);
            }
        }
    }
    true
}

/// Frames of all kinds with bodies that mostly mean something, but for blocks of headers.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let number = || prop_oneof![0..12_u32, any::<u32>()];
    let control = (0..11_u16, any::<u8>(), number(), number(), vec(any::<u8>(), 0..12));
    let control = control.prop_map(|(kind, flags, first, second, rest)| {
        let [high, low] = kind.to_be_bytes();
        let body = [&first.to_be_bytes()[..], &second.to_be_bytes()].concat();
        let body = if kind == 6 { &body[..4] } else { &body[..] };
        let rest = if matches!(kind, 3 | 6 | 7) { &[][..] } else { &rest[..] };
        let length = u8::try_from(body.len() + rest.len()).unwrap();
        [&[0x80, 3, high, low, flags, 0, 0, length], body, rest].concat()
    });
    let data = (number(), any::<u8>(), vec(any::<u8>(), 0..40)).prop_map(|(number, flags, bytes)| {
        let length = u8::try_from(bytes.len()).unwrap();
        [&(number & 0x7fff_ffff).to_be_bytes()[..], &[flags, 0, 0, length], &bytes].concat()
    });
    prop_oneof![control, data]
}

/// Cuts bytes at the places.
fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn noise_is_survived(noise in vec(any::<u8>(), 0..2000), places in vec(any::<Index>(), 0..5)) {
        for mut end in ends() {
            survives(&mut end, &cut(&noise, &places));
        }
    }

    #[test]
    fn frames_that_nobody_expects_are_survived(frames in vec(frame(), 0..60), places in vec(any::<Index>(), 0..10)) {
        let bytes = frames.concat();
        for mut end in ends() {
            survives(&mut end, &cut(&bytes, &places));
        }
    }

    #[test]
    fn a_recording_with_wrong_bytes_is_survived(
        changes in vec((any::<Index>(), any::<u8>()), 1..6),
        places in vec(any::<Index>(), 0..5),
        is_websocket in any::<bool>(),
    ) {
        let recording = if is_websocket { Recording::websocket() } else { Recording::upgrade() };
        for side in [Side::Client, Side::Server] {
            let mut bytes = recording.said_by(side);
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            for mut end in ends() {
                survives(&mut end, &cut(&bytes, &places));
            }
        }
    }

    #[test]
    fn a_recording_means_the_same_wherever_it_is_cut(
        places in vec(any::<Index>(), 0..200),
        is_websocket in any::<bool>(),
    ) {
        let recording = if is_websocket { Recording::websocket() } else { Recording::upgrade() };
        let new_client = || {
            let mut client = End::client(Limits::default());
            for number in 0..10 {
                assert_eq!(client.session.open(&Headers::new(), false), Ok(id(2 * number + 1)));
            }
            client
        };
        let new_server = || End::server(Limits::default());
        let whole = [
            new_server().take(&recording.said_by(Side::Client)).unwrap(),
            new_client().take(&recording.said_by(Side::Server)).unwrap(),
        ];
        let mut parts = [Vec::new(), Vec::new()];
        let [to_server, to_client] = &mut parts;
        let (mut server, mut client) = (new_server(), new_client());
        for piece in cut(&recording.said_by(Side::Client), &places) {
            to_server.extend(server.take(piece).unwrap());
        }
        for piece in cut(&recording.said_by(Side::Server), &places) {
            to_client.extend(client.take(piece).unwrap());
        }
        prop_assert_eq!(whole.map(joined), parts.map(joined));
    }
}

#[test]
fn a_recording_means_the_same_byte_by_byte() {
    for recording in Recording::both() {
        let bytes = recording.said_by(Side::Client);
        let whole = End::server(Limits::default()).take(&bytes).unwrap();
        let mut server = End::server(Limits::default());
        let parts = bytes.chunks(1).flat_map(|byte| server.take(byte).unwrap());
        assert_eq!(joined(parts), joined(whole));
    }
}
