//! SPDY/3.1 as Kubernetes' port-forward uses it: the frames and the streams of one session, without I/O of its own.
//!
//! A [`Session`] is one end of a connection, client or server. Its caller moves the bytes:
//!
//! ```text
//! read bytes from the peer into a BytesMut, then
//!     while let Some(event) = session.receive(&mut input)? { act on it }
//! session.open(..), session.send(..), session.reset(..)
//! write session.output() to the peer, while session.has_output(); vectored, if you can
//! ```
//!
//! # No flow control
//!
//! Kubernetes' end (moby/spdystream, read at v0.5) sends no `WINDOW_UPDATE` frames and ignores those that it gets, so this
//! one does the same, although SPDY/3.1 has windows. All that the peer sends has to be taken, or the whole session waits.
//! Two things let a caller keep a slow reader from stalling its neighbours, or the memory from growing. Data is handed
//! out at once and never stored, event by event, so a caller may stop calling [`Session::receive`] even in the midst of a
//! frame, and how much it keeps for a stream is its own choice. And what it sends is accepted up to
//! [`Session::send_capacity`] only.
//!
//! The peer's streams stall one another too: spdystream has five workers for the frames of a session, each for every
//! fifth number, with a queue of 50 frames. A worker waits for its stream's reader, and when its queue is full, so does
//! the session.
//!
//! # Round trips
//!
//! Data may follow [`Session::open`] at once. SPDY allows it, and spdystream's worker has answered the stream before it
//! looks at the next frame of it.

mod answers;
mod compression;
mod control;
mod dictionary;
mod error;
mod event;
mod frame;
mod headers;
mod id;
mod limits;
mod output;
mod session;
mod status;
mod streams;

pub use error::{BlockError, CallError, SessionError};
pub use event::Event;
pub use frame::FrameKind;
pub use headers::Headers;
pub use id::{PingId, StreamId};
pub use limits::{Limits, MAX_CONTROL_FRAME, MAX_HEADER_BLOCK};
pub use output::Output;
pub use session::Session;
pub use status::{GoAwayStatus, Status};
