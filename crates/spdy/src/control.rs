//! The bodies of control frames.

use bytes::{Buf as _, Bytes};

use crate::error::SessionError;
use crate::frame::{FLAG_FIN, FLAG_UNIDIRECTIONAL, FrameKind};
use crate::id::StreamId;
use crate::status::{GoAwayStatus, Status};

/// A control frame, read. Its headers are still compressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// `SYN_STREAM`.
    Open { stream: StreamId, fin: bool, unidirectional: bool, block: Bytes },
    /// `SYN_REPLY`.
    Reply { stream: StreamId, fin: bool, block: Bytes },
    /// HEADERS.
    Headers { stream: StreamId, fin: bool, block: Bytes },
    /// `RST_STREAM`.
    Reset { stream: StreamId, status: Status },
    /// PING.
    Ping { number: u32 },
    /// GOAWAY.
    GoAway { last: Option<StreamId>, status: GoAwayStatus },
    /// Nothing that this end heeds: SETTINGS, `WINDOW_UPDATE`, or an unknown kind.
    Other,
}

impl Control {
    /// Reads the body of a frame.
    pub(crate) fn read(kind: FrameKind, flags: u8, mut body: Bytes) -> Result<Self, SessionError> {
        let length = body.len();
        let fin = flags & FLAG_FIN != 0;
        Ok(match kind {
            FrameKind::SynStream if length >= 10 => {
                let stream = stream(kind, &mut body)?;
                // The stream that it belongs to, its priority and a slot for certificates: nobody uses them.
                body.advance(6);
                Self::Open { stream, fin, unidirectional: flags & FLAG_UNIDIRECTIONAL != 0, block: body }
            }
            FrameKind::SynReply if length >= 4 => Self::Reply { stream: stream(kind, &mut body)?, fin, block: body },
            FrameKind::Headers if length >= 4 => Self::Headers { stream: stream(kind, &mut body)?, fin, block: body },
            FrameKind::RstStream if length == 8 => {
                let stream = stream(kind, &mut body)?;
                let status = Status::from_wire(body.get_u32()).ok_or(SessionError::NoStatus { stream })?;
                Self::Reset { stream, status }
            }
            FrameKind::GoAway if length == 8 => {
                let last = StreamId::from_wire(body.get_u32());
                Self::GoAway { last, status: GoAwayStatus::from_wire(body.get_u32()) }
            }
            FrameKind::Ping if length == 4 => Self::Ping { number: body.get_u32() },
            FrameKind::Data | FrameKind::Settings | FrameKind::WindowUpdate | FrameKind::Unknown(_) => Self::Other,
            _ => return Err(SessionError::WrongLength { kind, length }),
        })
    }
}

/// Takes the number of a stream, which at least 4 bytes hold.
fn stream(kind: FrameKind, body: &mut Bytes) -> Result<StreamId, SessionError> {
    StreamId::from_wire(body.get_u32()).ok_or(SessionError::StreamZero { kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(number: u32) -> StreamId {
        StreamId::new(number).unwrap()
    }

    fn read(kind: FrameKind, flags: u8, body: &'static [u8]) -> Result<Control, SessionError> {
        Control::read(kind, flags, Bytes::from_static(body))
    }

    #[test]
    fn a_stream_is_opened_with_flags_and_a_block() {
        let body = b"\0\0\0\x05\0\0\0\x01\xe0\x07block";
        let block = Bytes::from_static(b"block");
        let open = |fin, unidirectional| Control::Open { stream: stream(5), fin, unidirectional, block: block.clone() };
        assert_eq!(read(FrameKind::SynStream, 0, body), Ok(open(false, false)));
        assert_eq!(read(FrameKind::SynStream, 1, body), Ok(open(true, false)));
        assert_eq!(read(FrameKind::SynStream, 2, body), Ok(open(false, true)));
    }

    #[test]
    fn replies_and_headers_name_a_stream_and_bring_a_block() {
        let block = Bytes::from_static(b"block");
        let reply = Control::Reply { stream: stream(1), fin: true, block: block.clone() };
        assert_eq!(read(FrameKind::SynReply, 1, b"\0\0\0\x01block"), Ok(reply));
        let headers = Control::Headers { stream: stream(1), fin: false, block };
        assert_eq!(read(FrameKind::Headers, 0, b"\x80\0\0\x01block"), Ok(headers), "the highest bit means nothing");
    }

    #[test]
    fn a_reset_has_a_status() {
        let reset = Control::Reset { stream: stream(3), status: Status::Cancel };
        assert_eq!(read(FrameKind::RstStream, 0, b"\0\0\0\x03\0\0\0\x05"), Ok(reset));
        let error = read(FrameKind::RstStream, 0, b"\0\0\0\x03\0\0\0\0").unwrap_err();
        assert_eq!(error.to_string(), "the peer reset stream 3 with status 0, which is none");
    }

    #[test]
    fn pings_and_the_end_of_the_session_name_no_stream() {
        assert_eq!(read(FrameKind::Ping, 0, b"\x80\0\0\x01"), Ok(Control::Ping { number: 0x8000_0001 }));
        let never = Control::GoAway { last: None, status: GoAwayStatus::Ok };
        assert_eq!(read(FrameKind::GoAway, 0, &[0; 8]), Ok(never));
        let broken = Control::GoAway { last: Some(stream(7)), status: GoAwayStatus::ProtocolError };
        assert_eq!(read(FrameKind::GoAway, 0, b"\0\0\0\x07\0\0\0\x01"), Ok(broken));
    }

    #[test]
    fn what_this_end_does_not_heed_may_have_any_length() {
        for kind in [FrameKind::Settings, FrameKind::WindowUpdate, FrameKind::Unknown(10)] {
            assert_eq!(read(kind, 0xff, b""), Ok(Control::Other));
            assert_eq!(read(kind, 0xff, b"\0\0\0\0\0\0\0\0\0"), Ok(Control::Other));
        }
    }

    #[test]
    fn a_wrong_length_and_stream_0_are_errors_that_name_the_frame() {
        let wrong = [
            (FrameKind::SynStream, 9),
            (FrameKind::SynReply, 3),
            (FrameKind::Headers, 3),
            (FrameKind::RstStream, 9),
            (FrameKind::GoAway, 4),
            (FrameKind::Ping, 5),
        ];
        for (kind, length) in wrong {
            let body = Bytes::from(vec![0; length]);
            assert_eq!(Control::read(kind, 0, body), Err(SessionError::WrongLength { kind, length }));
        }
        let error = read(FrameKind::SynStream, 0, &[0; 10]).unwrap_err();
        assert_eq!(error.to_string(), "the peer sent a SYN_STREAM frame for stream 0");
    }
}
