//! The open streams of a session, and the numbers of those that were.

use std::collections::BTreeMap;

use crate::id::{Role, StreamId};

/// The state of an open stream. Both directions are finished apart from one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stream {
    /// Whether this end may still send.
    pub(crate) sending: bool,
    /// Whether the peer may still send.
    pub(crate) receiving: bool,
    /// Whether it was accepted, by the end that did not open it.
    pub(crate) replied: bool,
}

/// What is known of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is open.
    Open(Stream),
    /// It was open, or its number was passed over.
    Over,
    /// Its number has not come up yet.
    Never,
}

/// The open streams. Of those that are over nothing is kept but the greatest number.
#[derive(Debug)]
pub(crate) struct Streams {
    role: Role,
    open: BTreeMap<StreamId, Stream>,
    /// How many of the open ones are the peer's.
    peers: usize,
    /// The number of this end's next stream.
    next: u32,
    /// The peer's newest stream.
    last_peer: Option<StreamId>,
}

impl Streams {
    pub(crate) fn new(role: Role) -> Self {
        Self { role, open: BTreeMap::new(), peers: 0, next: role.first(), last_peer: None }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }

    /// How many of the peer's are open.
    pub(crate) fn peers(&self) -> usize {
        self.peers
    }

    /// The peer's newest stream.
    pub(crate) fn last_peer(&self) -> Option<StreamId> {
        self.last_peer
    }

    /// Whether this end opened it, or would have.
    pub(crate) fn owns(&self, stream: StreamId) -> bool {
        self.role.owns(stream.number())
    }

    /// The number for this end's next stream, if there is one left.
    pub(crate) fn next(&self) -> Option<StreamId> {
        StreamId::new(self.next)
    }

    /// Opens this end's next stream.
    pub(crate) fn open_own(&mut self, id: StreamId, fin: bool) {
        self.next = id.number() + 2;
        self.open.insert(id, Stream { sending: !fin, receiving: true, replied: false });
    }

    /// The peer has used a number: what is below is over.
    pub(crate) fn pass(&mut self, id: StreamId) {
        self.last_peer = Some(id);
    }

    /// Opens a stream of the peer.
    pub(crate) fn open_peers(&mut self, id: StreamId, stream: Stream) {
        if stream.sending || stream.receiving {
            self.open.insert(id, stream);
            self.peers += 1;
        }
    }

    pub(crate) fn get(&self, id: StreamId) -> Option<Stream> {
        self.open.get(&id).copied()
    }

    pub(crate) fn standing(&self, id: StreamId) -> Standing {
        let is_used = if self.owns(id) { id.number() < self.next } else { Some(id) <= self.last_peer };
        match self.get(id) {
            Some(stream) => Standing::Open(stream),
            None if is_used => Standing::Over,
            None => Standing::Never,
        }
    }

    /// A stream was accepted.
    pub(crate) fn reply(&mut self, id: StreamId) {
        self.update(id, |stream| stream.replied = true);
    }

    /// This end has sent all.
    pub(crate) fn finish_sending(&mut self, id: StreamId) {
        self.update(id, |stream| stream.sending = false);
    }

    /// The peer has sent all.
    pub(crate) fn finish_receiving(&mut self, id: StreamId) {
        self.update(id, |stream| stream.receiving = false);
    }

    fn update(&mut self, id: StreamId, change: impl FnOnce(&mut Stream)) {
        if let Some(stream) = self.open.get_mut(&id) {
            change(stream);
            if !stream.sending && !stream.receiving {
                self.remove(id);
            }
        }
    }

    /// Ends a stream, and tells whether it was open.
    pub(crate) fn remove(&mut self, id: StreamId) -> bool {
        let was_open = self.open.remove(&id).is_some();
        if was_open && !self.owns(id) {
            self.peers -= 1;
        }
        was_open
    }

    /// Ends this end's streams after `last`, and tells which were open.
    pub(crate) fn remove_own_after(&mut self, last: Option<StreamId>) -> Vec<StreamId> {
        let own = self.open.keys().copied().filter(|id| self.owns(*id) && Some(*id) > last);
        let after: Vec<_> = own.collect();
        self.open.retain(|id, _| !after.contains(id));
        after
    }

    /// Ends all streams.
    pub(crate) fn clear(&mut self) {
        self.open.clear();
        self.peers = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> StreamId {
        StreamId::new(number).unwrap()
    }

    #[test]
    fn a_stream_is_over_once_both_directions_are() {
        let mut streams = Streams::new(Role::Client);
        assert_eq!(streams.standing(id(1)), Standing::Never);
        streams.open_own(id(1), false);
        assert!(matches!(streams.standing(id(1)), Standing::Open(_)));
        streams.finish_receiving(id(1));
        assert!(matches!(streams.standing(id(1)), Standing::Open(_)));
        streams.finish_sending(id(1));
        assert_eq!(streams.standing(id(1)), Standing::Over);
        assert_eq!((streams.len(), streams.next()), (0, Some(id(3))));
    }

    #[test]
    fn numbers_that_the_peer_passed_over_are_over() {
        let mut streams = Streams::new(Role::Client);
        streams.pass(id(6));
        streams.open_peers(id(6), Stream { sending: true, receiving: true, replied: false });
        assert_eq!(streams.standing(id(4)), Standing::Over);
        assert_eq!(streams.standing(id(8)), Standing::Never);
        assert_eq!(streams.peers(), 1);
        assert!(streams.remove(id(6)) && !streams.remove(id(6)));
        assert_eq!(streams.peers(), 0);
    }

    #[test]
    fn a_stream_that_is_finished_at_once_is_not_kept() {
        let mut streams = Streams::new(Role::Server);
        streams.pass(id(1));
        streams.open_peers(id(1), Stream { sending: false, receiving: false, replied: false });
        assert_eq!((streams.len(), streams.peers()), (0, 0));
    }

    #[test]
    fn the_numbers_end() {
        let mut streams = Streams::new(Role::Client);
        streams.open_own(id(0x7fff_ffff), true);
        assert_eq!(streams.next(), None);
    }

    #[test]
    fn only_own_streams_are_left_behind_by_a_peer_that_goes() {
        let mut streams = Streams::new(Role::Client);
        for number in [1, 3, 5] {
            streams.open_own(id(number), true);
        }
        streams.pass(id(8));
        streams.open_peers(id(8), Stream { sending: true, receiving: true, replied: false });
        assert_eq!(streams.remove_own_after(Some(id(1))), [id(3), id(5)]);
        assert_eq!(streams.remove_own_after(None), [id(1)]);
        assert_eq!((streams.len(), streams.peers()), (1, 1));
    }
}
