//! Recorded sessions of kubectl with an API server, without the HTTP and the WebSocket around them.

use std::fs;
use std::path::Path;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// The SPDY bytes of a recorded session, in the pieces in which they came.
pub(crate) struct Recording(Vec<(Side, Vec<u8>)>);

impl Recording {
    /// The session over HTTP's upgrade.
    pub(crate) fn upgrade() -> Self {
        Self::read("upgrade-spdy.jsonl", |head| Framing::new(head, false))
    }

    /// The session through a WebSocket.
    pub(crate) fn websocket() -> Self {
        Self::read("websocket-spdy.jsonl", |head| Framing::new(head, true))
    }

    pub(crate) fn both() -> [Self; 2] {
        [Self::upgrade(), Self::websocket()]
    }

    fn read(file: &str, framing: impl Fn(Side) -> Framing) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(file);
        let text = fs::read_to_string(path).unwrap();
        let (mut client, mut server) = (framing(Side::Client), framing(Side::Server));
        let pieces = text.lines().map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let bytes = from_hex(line["hex"].as_str().unwrap());
            match line["dir"].as_str() {
                Some("client") => (Side::Client, client.take(&bytes)),
                Some("server") => (Side::Server, server.take(&bytes)),
                other => panic!("nobody is {other:?}"),
            }
        });
        Self(pieces.collect())
    }

    /// The pieces of both sides, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = (Side, &[u8])> {
        self.0.iter().map(|(side, bytes)| (*side, &**bytes))
    }

    /// All that one side says.
    pub(crate) fn said_by(&self, side: Side) -> Vec<u8> {
        self.pieces().filter(|(other, _)| *other == side).flat_map(|(_, bytes)| bytes).copied().collect()
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What is around the SPDY bytes of one side.
struct Framing {
    side: Side,
    is_websocket: bool,
    /// Whether the head of the HTTP message has passed.
    is_upgraded: bool,
    buffer: Vec<u8>,
}

impl Framing {
    fn new(side: Side, is_websocket: bool) -> Self {
        Self { side, is_websocket, is_upgraded: false, buffer: Vec::new() }
    }

    /// Takes bytes as they were recorded, and returns the SPDY bytes in them.
    fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.buffer.extend_from_slice(bytes);
        if !self.is_upgraded {
            let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else { return Vec::new() };
            self.buffer.drain(..end + 4);
            self.is_upgraded = true;
        }
        if !self.is_websocket {
            return std::mem::take(&mut self.buffer);
        }
        let mut payloads = Vec::new();
        while let Some(payload) = self.websocket_frame() {
            payloads.extend(payload);
        }
        payloads
    }

    /// Takes one WebSocket frame (RFC 6455, section 5.2), if it is whole. The client's are masked.
    fn websocket_frame(&mut self) -> Option<Vec<u8>> {
        let [first, second, rest @ ..] = &*self.buffer else { return None };
        let is_masked = second & 0x80 != 0;
        assert_eq!(is_masked, self.side == Side::Client);
        let (length, rest) = match second & 0x7f {
            126 => rest.split_first_chunk().map(|(length, rest)| (u16::from_be_bytes(*length), rest))?,
            length => (u16::from(length), rest),
        };
        let (mask, rest) = if is_masked { rest.split_at_checked(4)? } else { (&[0; 4][..], rest) };
        let (payload, rest) = rest.split_at_checked(usize::from(length))?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        // A close frame says nothing in SPDY.
        let opcode = first & 0xf;
        assert!(matches!(opcode, 2 | 8), "a binary frame, or the close frame");
        self.buffer = rest.to_vec();
        Some(if opcode == 2 { payload } else { Vec::new() })
    }
}
