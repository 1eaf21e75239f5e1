//! The headers of a SPDY stream, before compression: a mutated block in a frame would seldom be a zlib stream.

use bytes::{Buf as _, BytesMut};
use portgate_spdy::{Event, Headers, Limits, MAX_HEADER_BLOCK, Session};

use crate::Target;

/// The headers of an opened stream, in `spdy`
pub const TARGET: Target = Target { name: "spdy_headers", check, growth: 100 };

/// A `SYN_STREAM` frame up to its length: a control frame of version 3 and kind 1, without flags.
const SYN_STREAM: [u8; 5] = [0x80, 3, 0, 1, 0];

/// What stands in a `SYN_STREAM` frame before the headers: stream 1, of no other, of the highest priority.
const FIXED: [u8; 10] = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0];

/// The head of a zlib stream with SPDY's dictionary.
const ZLIB: [u8; 6] = [0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2];

/// The mark of a flush: an empty stored block.
const FLUSH: [u8; 5] = [0, 0, 0, 0xff, 0xff];

fn check(block: &[u8]) -> bool {
    let Ok(length) = u16::try_from(block.len()) else { return false };
    let stored = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), block].concat();
    let body = [&FIXED[..], &ZLIB, &stored, &FLUSH].concat();
    let [.., a, b, c] = body.len().to_be_bytes();
    let mut input = BytesMut::from(&[&SYN_STREAM[..], &[a, b, c], &body].concat()[..]);
    let mut server = Session::server(Limits::default());
    match server.receive(&mut input) {
        Ok(Some(Event::Opened { headers, .. })) => {
            assert!(block.len() <= MAX_HEADER_BLOCK);
            assert_eq!(opened(&headers), headers, "headers are the same at the other end");
            true
        }
        Ok(None) => {
            assert!(server.has_output() && server.is_idle(), "what cannot be opened is reset");
            false
        }
        Ok(Some(event)) => panic!("{event:?}"),
        Err(_) => false,
    }
}

/// The headers as a server has them that a client sends.
fn opened(headers: &Headers) -> Headers {
    let mut client = Session::client(Limits::default());
    client.open(headers, false).expect("headers that were read can be sent");
    let output = client.output();
    let mut input = BytesMut::from(&output.copy_to_bytes(output.remaining())[..]);
    match Session::server(Limits::default()).receive(&mut input) {
        Ok(Some(Event::Opened { headers, .. })) => headers,
        other => panic!("{other:?}"),
    }
}
