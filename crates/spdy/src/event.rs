//! What a session tells its owner.

use bytes::Bytes;

use crate::headers::Headers;
use crate::id::{PingId, StreamId};
use crate::status::{GoAwayStatus, Status};

/// Something that the peer did.
///
/// A stream is over, and will not be heard of again, once both directions are finished or it was reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The peer opened a stream. [`Session::reply`](crate::Session::reply) accepts it,
    /// [`Session::reset`](crate::Session::reset) refuses it.
    Opened {
        /// The stream.
        stream: StreamId,
        /// What it is for.
        headers: Headers,
        /// Whether the peer will send nothing on it.
        fin: bool,
    },
    /// The peer accepted a stream of this end.
    Replied {
        /// The stream.
        stream: StreamId,
        /// The answer; empty in Kubernetes.
        headers: Headers,
        /// Whether the peer will send nothing on it.
        fin: bool,
    },
    /// The peer sent further headers.
    Headers {
        /// The stream.
        stream: StreamId,
        /// The headers.
        headers: Headers,
        /// Whether the peer has sent all.
        fin: bool,
    },
    /// The peer sent data: a frame of it, or as much of a frame as is here.
    Data {
        /// The stream.
        stream: StreamId,
        /// The data, a slice of the input. Empty only at the end.
        bytes: Bytes,
        /// Whether the peer has sent all.
        fin: bool,
    },
    /// The stream is no more, in both directions. The peer reset it, or left it behind when it went away; or this end
    /// reset it because the peer broke a rule in it.
    Reset {
        /// The stream.
        stream: StreamId,
        /// Why.
        status: Status,
    },
    /// The peer answered a ping.
    Pong {
        /// The ping.
        ping: PingId,
    },
    /// The peer takes no further streams, and has not looked at those of this end after `last`: each of them is reported
    /// as reset, with [`Status::RefusedStream`], and may be tried in another session. The others go on for as long as the
    /// peer keeps the connection.
    GoneAway {
        /// The last stream of this end that the peer has seen, if it saw one.
        last: Option<StreamId>,
        /// Why.
        status: GoAwayStatus,
    },
}
