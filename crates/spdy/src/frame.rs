//! Frames: their kinds, their heads, and how control frames are written.

use std::fmt;

use bytes::Buf as _;

use crate::id::StreamId;
use crate::output::Output;

/// The length of every frame's head, in bytes.
pub(crate) const HEAD: usize = 8;

/// The longest data that one frame can carry, in bytes: its length has 24 bits.
pub(crate) const MAX_DATA: usize = (1 << 24) - 1;

/// The protocol's version that control frames name.
pub(crate) const VERSION: u16 = 3;

/// The sender will send no more on this stream.
pub(crate) const FLAG_FIN: u8 = 1;

/// In `SYN_STREAM`: the receiver will send nothing on this stream.
pub(crate) const FLAG_UNIDIRECTIONAL: u8 = 2;

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Carries bytes of a stream.
    Data,
    /// Opens a stream.
    SynStream,
    /// Accepts a stream.
    SynReply,
    /// Ends a stream at once, in both directions.
    RstStream,
    /// Tells of the sender's wishes.
    Settings,
    /// Asks for itself, and answers.
    Ping,
    /// Ends the session for new streams.
    GoAway,
    /// Carries further headers.
    Headers,
    /// Allows to send more.
    WindowUpdate,
    /// Unknown to this end, or to SPDY/3.1.
    Unknown(u16),
}

impl FrameKind {
    fn from_wire(code: u16) -> Self {
        match code {
            1 => Self::SynStream,
            2 => Self::SynReply,
            3 => Self::RstStream,
            4 => Self::Settings,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::Headers,
            9 => Self::WindowUpdate,
            _ => Self::Unknown(code),
        }
    }

    /// The number of a control frame's kind.
    fn code(self) -> u16 {
        match self {
            Self::Data => 0,
            Self::SynStream => 1,
            Self::SynReply => 2,
            Self::RstStream => 3,
            Self::Settings => 4,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::Headers => 8,
            Self::WindowUpdate => 9,
            Self::Unknown(code) => code,
        }
    }
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Data => "DATA",
            Self::SynStream => "SYN_STREAM",
            Self::SynReply => "SYN_REPLY",
            Self::RstStream => "RST_STREAM",
            Self::Settings => "SETTINGS",
            Self::Ping => "PING",
            Self::GoAway => "GOAWAY",
            Self::Headers => "HEADERS",
            Self::WindowUpdate => "WINDOW_UPDATE",
            Self::Unknown(code) => return write!(f, "a control frame of kind {code}"),
        };
        write!(f, "a {name} frame")
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Data follows.
    Data { stream: u32, fin: bool, length: usize },
    /// The rest of a control frame follows.
    Control { version: u16, kind: FrameKind, flags: u8, length: usize },
}

impl Head {
    /// Reads a head, if `input` has all of it.
    pub(crate) fn read(mut input: &[u8]) -> Option<Self> {
        if input.len() < HEAD {
            return None;
        }
        let (high, low, flags) = (input.get_u16(), input.get_u16(), input.get_u8());
        let length = input.get_uint(3).try_into().ok()?;
        Some(if high & CONTROL == 0 {
            let stream = u32::from(high) << 16 | u32::from(low);
            Self::Data { stream, fin: flags & FLAG_FIN != 0, length }
        } else {
            Self::Control { version: high & !CONTROL, kind: FrameKind::from_wire(low), flags, length }
        })
    }
}

/// The bit of a head that tells a control frame from data.
const CONTROL: u16 = 0x8000;

/// Writes a control frame whose body is `parts`, and returns its length.
pub(crate) fn write_control(output: &mut Output, kind: FrameKind, flags: u8, parts: &[&[u8]]) -> usize {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let ([a, b], [c, d]) = ((CONTROL | VERSION).to_be_bytes(), kind.code().to_be_bytes());
    output.put(&head([a, b, c, d], flags, length));
    for part in parts {
        output.put(part);
    }
    HEAD + length
}

/// The head of a frame with at most [`MAX_DATA`] bytes of data.
pub(crate) fn data_head(stream: StreamId, fin: bool, length: usize) -> [u8; HEAD] {
    head(stream.number().to_be_bytes(), u8::from(fin) * FLAG_FIN, length)
}

/// The first half is what it is for; then come the flags, and the length in 24 bits.
fn head(first: [u8; 4], flags: u8, length: usize) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let second = u32::from(flags) << 24 | u32::try_from(length & MAX_DATA).unwrap_or_default();
    head[..4].copy_from_slice(&first);
    head[4..].copy_from_slice(&second.to_be_bytes());
    head
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let bytes = data_head(StreamId::new(0x1234_5678).unwrap(), true, MAX_DATA);
        assert_eq!(bytes, [0x12, 0x34, 0x56, 0x78, 1, 0xff, 0xff, 0xff]);
        assert_eq!(Head::read(&bytes[..7]), None);
        assert_eq!(Head::read(&bytes), Some(Head::Data { stream: 0x1234_5678, fin: true, length: MAX_DATA }));
    }

    #[test]
    fn every_kind_of_control_frame_is_read_as_it_was_written() {
        for code in 1..12 {
            let kind = FrameKind::from_wire(code);
            let mut output = Output::default();
            assert_eq!(write_control(&mut output, kind, 3, &[b"ab", b"c"]), 11);
            let bytes = output.pop().unwrap();
            assert_eq!(bytes, [&[0x80, 3, 0, u8::try_from(code).unwrap(), 3, 0, 0, 3][..], b"abc"].concat());
            assert_eq!(Head::read(&bytes), Some(Head::Control { version: 3, kind, flags: 3, length: 3 }));
        }
        assert_eq!(FrameKind::from_wire(5), FrameKind::Unknown(5));
    }
}
