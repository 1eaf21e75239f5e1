//! What can go wrong: the peer breaks the session, or a call asks for what cannot be.

use crate::frame::FrameKind;
use crate::id::StreamId;
use crate::limits::{MAX_ANSWERS, MAX_CONTROL_FRAME, MAX_HEADER_BLOCK};

/// The peer broke the session. Nothing more can be received or sent; what the output still holds should be written, since
/// it ends with a GOAWAY frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// A frame of another protocol, or no frame at all.
    #[error("the peer sent a control frame of SPDY version {version}; 3 is spoken here")]
    Version {
        /// The version that it names.
        version: u16,
    },
    /// A control frame that is longer than any of use.
    #[error("the peer sent {kind} of {length} bytes; {MAX_CONTROL_FRAME} are allowed")]
    TooLong {
        /// Its kind.
        kind: FrameKind,
        /// Its length, in bytes.
        length: usize,
    },
    /// A control frame that its kind does not allow to have this length.
    #[error("the peer sent {kind} of {length} bytes, which is not its length")]
    WrongLength {
        /// Its kind.
        kind: FrameKind,
        /// Its length, in bytes.
        length: usize,
    },
    /// A reset for no reason: status 0.
    #[error("the peer reset {stream} with status 0, which is none")]
    NoStatus {
        /// The stream.
        stream: StreamId,
    },
    /// A frame for stream 0, which there is not.
    #[error("the peer sent {kind} for stream 0")]
    StreamZero {
        /// The frame's kind.
        kind: FrameKind,
    },
    /// The peer opened a stream with a number that is not its to give.
    #[error("the peer opened {stream}, whose number is not its own")]
    NotItsNumber {
        /// The stream.
        stream: StreamId,
    },
    /// The peer opened a stream with a number that it had passed.
    #[error("the peer opened {stream} after {last}")]
    NotAscending {
        /// The stream.
        stream: StreamId,
        /// The newest stream before.
        last: StreamId,
    },
    /// A block of headers that cannot be read; none after it could be, because all are compressed as one.
    #[error("the peer sent {kind} for {stream} with headers that cannot be read")]
    Block {
        /// The frame's kind.
        kind: FrameKind,
        /// The stream.
        stream: StreamId,
        /// What is wrong with them.
        #[source]
        source: BlockError,
    },
    /// The peer asks for answers, and does not read them.
    #[error("the peer has asked for more than {MAX_ANSWERS} bytes of answers without reading them")]
    Flooded,
}

/// Why a block of headers cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// It cannot be decompressed.
    #[error("they cannot be decompressed")]
    Compression,
    /// It is too large.
    #[error("they are longer than {MAX_HEADER_BLOCK} bytes")]
    TooLarge,
    /// Its lengths do not add up.
    #[error("their lengths do not add up")]
    Lengths,
}

/// A call cannot be carried out. Nothing was done, and the session is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The stream is over, or never was.
    #[error("{0} is not open")]
    NotOpen(StreamId),
    /// This end has finished its direction already.
    #[error("{0} is finished in this direction")]
    Finished(StreamId),
    /// The stream has not been accepted yet.
    #[error("{0} has not been replied to")]
    NotReplied(StreamId),
    /// The stream is this end's own, or has been accepted already.
    #[error("{0} awaits no reply")]
    NoReplyDue(StreamId),
    /// So much data does not fit into the output.
    #[error("{length} bytes for {stream} exceed the {capacity} that the output has room for")]
    Full {
        /// The stream.
        stream: StreamId,
        /// How much was to be sent, in bytes.
        length: usize,
        /// How much would have been accepted.
        capacity: usize,
    },
    /// The headers are too long.
    #[error("headers of {length} bytes exceed the {MAX_HEADER_BLOCK} that a frame may have")]
    HeadersTooLarge {
        /// Their length, in bytes.
        length: usize,
    },
    /// A header without a name.
    #[error("a header has no name")]
    EmptyName,
    /// Every number has been used; a new session has them all again.
    #[error("the session has used up its stream numbers")]
    Exhausted,
    /// One of both ends has said that it goes away.
    #[error("the session takes no new streams, because one end goes away")]
    GoingAway,
    /// The session is broken.
    #[error("the session is broken")]
    Session(#[source] SessionError),
}
