//! The streams of a session.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use portgate_spdy::StreamId;

use crate::forward::error::StreamError;
use crate::forward::far_end::FarEnd;
use crate::forward::lease::Lease;
use crate::forward::link::Lane;

/// A stream to a pod: in SPDY it is two, one for data and one for errors.
pub(super) struct Stream {
    pub(super) data: StreamId,
    pub(super) error: StreamId,
    /// Whether the one for data was accepted.
    pub(super) is_replied: bool,
    pub(super) end: FarEnd,
    /// Given back when the stream is over.
    pub(super) _lease: Lease,
}

/// The open streams of a session, by the number of the one for data.
#[derive(Default)]
pub(super) struct Streams(HashMap<u32, Stream>);

impl Streams {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn insert(&mut self, stream: Stream) {
        self.0.insert(stream.data.number(), stream);
    }

    pub(super) fn remove(&mut self, number: u32) -> Option<Stream> {
        self.0.remove(&number)
    }

    /// The stream of this number, if its near end has more to send.
    pub(super) fn sending(&mut self, number: u32) -> Option<&mut Stream> {
        self.0.get_mut(&number).filter(|stream| stream.end.is_sending)
    }

    /// Takes what came on one of the two. The lane is full if it is returned.
    pub(super) fn take(&mut self, id: StreamId, bytes: Bytes, fin: bool) -> Option<Arc<Lane>> {
        let (number, stream) = self.of(id)?;
        let mut full = None;
        if id == stream.data {
            full = stream.end.put(bytes).then(|| Arc::clone(&stream.end.lane));
        } else {
            stream.end.explain(&bytes);
        }
        match fin {
            true if id == stream.data => stream.end.end(),
            true => stream.end.judge(),
            false => {}
        }
        self.forget_if_over(number);
        full
    }

    /// One of the two was accepted. Whether that is true of all streams for data.
    pub(super) fn reply(&mut self, id: StreamId) -> bool {
        if let Some(stream) = self.0.get_mut(&id.number()) {
            stream.is_replied = true;
        }
        self.0.values().all(|stream| stream.is_replied)
    }

    /// One of the two was reset.
    pub(super) fn reset(&mut self, id: StreamId, why: StreamError) {
        let Some((number, stream)) = self.of(id) else { return };
        if id == stream.data {
            stream.end.break_off(why);
        } else {
            stream.end.acquit();
        }
        self.forget_if_over(number);
    }

    /// Ends all of them.
    pub(super) fn lose(&mut self, why: &StreamError) {
        for (_, mut stream) in self.0.drain() {
            stream.end.break_off(why.clone());
        }
    }

    /// Forgets a stream that has ended in every way.
    pub(super) fn forget_if_over(&mut self, number: u32) {
        if self.0.get(&number).is_some_and(|stream| stream.end.is_over()) {
            self.0.remove(&number);
        }
    }

    /// The stream that one of two belongs to: the one for errors was opened just before the one for data.
    fn of(&mut self, id: StreamId) -> Option<(u32, &mut Stream)> {
        let number = id.number();
        let number = if self.0.contains_key(&number) { number } else { number + 2 };
        let stream = self.0.get_mut(&number)?;
        (stream.data == id || stream.error == id).then_some((number, stream))
    }
}
