//! Why a stream or a session ends.

use std::fmt;
use std::num::NonZeroU32;

/// Why a stream was reset: the status of an `RST_STREAM` frame, from SPDY/3, section 2.6.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// A rule of the protocol was broken, by a frame of this stream.
    ProtocolError,
    /// A frame named a stream that is not open.
    InvalidStream,
    /// The stream was refused before anything was done for it.
    RefusedStream,
    /// The peer does not speak this version.
    UnsupportedVersion,
    /// The stream is not wanted any more.
    Cancel,
    /// The peer failed.
    InternalError,
    /// More was sent than a window allows. Kubernetes has none.
    FlowControlError,
    /// A stream was answered twice.
    StreamInUse,
    /// Data came for a direction that had been finished.
    StreamAlreadyClosed,
    /// The client's certificate does not fit. Kubernetes never says so.
    InvalidCredentials,
    /// A frame was too long for the peer.
    FrameTooLarge,
    /// A number that the protocol does not know.
    Other(NonZeroU32),
}

impl Status {
    /// What the number of a frame means. 0 is no status.
    pub(crate) fn from_wire(code: u32) -> Option<Self> {
        let code = NonZeroU32::new(code)?;
        Some(match code.get() {
            1 => Self::ProtocolError,
            2 => Self::InvalidStream,
            3 => Self::RefusedStream,
            4 => Self::UnsupportedVersion,
            5 => Self::Cancel,
            6 => Self::InternalError,
            7 => Self::FlowControlError,
            8 => Self::StreamInUse,
            9 => Self::StreamAlreadyClosed,
            10 => Self::InvalidCredentials,
            11 => Self::FrameTooLarge,
            _ => Self::Other(code),
        })
    }

    /// Its number in a frame.
    pub fn code(self) -> u32 {
        match self {
            Self::ProtocolError => 1,
            Self::InvalidStream => 2,
            Self::RefusedStream => 3,
            Self::UnsupportedVersion => 4,
            Self::Cancel => 5,
            Self::InternalError => 6,
            Self::FlowControlError => 7,
            Self::StreamInUse => 8,
            Self::StreamAlreadyClosed => 9,
            Self::InvalidCredentials => 10,
            Self::FrameTooLarge => 11,
            Self::Other(code) => code.get(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ProtocolError => "a rule of the protocol was broken",
            Self::InvalidStream => "no such stream",
            Self::RefusedStream => "refused",
            Self::UnsupportedVersion => "unsupported version",
            Self::Cancel => "cancelled",
            Self::InternalError => "an internal error",
            Self::FlowControlError => "more than the window allows",
            Self::StreamInUse => "answered twice",
            Self::StreamAlreadyClosed => "data after the end",
            Self::InvalidCredentials => "invalid credentials",
            Self::FrameTooLarge => "a frame too large",
            Self::Other(code) => return write!(f, "status {code}"),
        };
        f.write_str(text)
    }
}

/// Why a session ends: the status of a GOAWAY frame, from SPDY/3, section 2.6.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GoAwayStatus {
    /// Nothing is wrong.
    Ok,
    /// A rule of the protocol was broken.
    ProtocolError,
    /// The peer failed.
    InternalError,
    /// A number that the protocol does not know.
    Other(u32),
}

impl GoAwayStatus {
    /// What the number of a frame means.
    pub(crate) fn from_wire(code: u32) -> Self {
        match code {
            0 => Self::Ok,
            1 => Self::ProtocolError,
            2 => Self::InternalError,
            _ => Self::Other(code),
        }
    }

    /// Its number in a frame.
    pub fn code(self) -> u32 {
        match self {
            Self::Ok => 0,
            Self::ProtocolError => 1,
            Self::InternalError => 2,
            Self::Other(code) => code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_but_0_is_a_status_and_stays_the_same() {
        assert_eq!(Status::from_wire(0), None);
        for code in 1..=13 {
            let status = Status::from_wire(code).unwrap();
            assert_eq!(status.code(), code);
            assert_eq!(matches!(status, Status::Other(_)), code > 11);
        }
        assert_eq!(Status::from_wire(99).unwrap().to_string(), "status 99");
    }

    #[test]
    fn every_number_ends_a_session() {
        for code in 0..5 {
            assert_eq!(GoAwayStatus::from_wire(code).code(), code);
        }
    }
}
