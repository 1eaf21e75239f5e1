//! Room for the datagrams of one receive call.

use std::array::from_fn;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn_udp::{BATCH_SIZE, RecvMeta};

/// Room for one buffer, in bytes: the largest datagram, or as many small ones as the kernel joins (GRO). The odd lines
/// at the end keep the beginnings of neighbouring buffers out of each other's place in the processor's caches.
const SLOT: usize = (64 << 10) + 17 * 64;

/// The most that one call can send, joined or not, in bytes: an IPv4 packet without its headers.
const MOST_BYTES: usize = portgate_core::port::MAX_DATAGRAM;

/// The most datagrams that one call can send (`UDP_MAX_SEGMENTS`).
const MOST_SEGMENTS: usize = 64;

/// The largest datagram that is joined with others: what an Ethernet frame holds. Larger ones have to be fragmented,
/// which the kernel does for single datagrams only.
const LARGEST_SEGMENT: usize = 1472;

/// The datagrams of one receive call, and room to join them. It is borrowed from a pool for as long as they are passed
/// on, so that memory does not grow with sockets or sessions.
pub(crate) struct Batch {
    memory: Box<[u8]>,
    metas: [RecvMeta; BATCH_SIZE],
    filled: usize,
    joined: Box<[u8]>,
}

/// Neighbouring datagrams between the same two ends, all of `stride` bytes but the last, which may be shorter.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) from: SocketAddr,
    /// The local address that they were sent to.
    pub(super) to: Option<IpAddr>,
    pub(super) contents: &'a [u8],
    pub(super) stride: usize,
}

impl Run<'_> {
    /// How many datagrams it has, at least one: an empty datagram is one, too.
    pub(super) fn count(&self) -> usize {
        self.contents.len().div_ceil(self.stride.max(1)).max(1)
    }

    /// Whether one call may send them all.
    pub(super) fn can_be_joined(&self) -> bool {
        self.count() > 1 && self.stride <= LARGEST_SEGMENT
    }

    /// Each datagram.
    pub(super) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let empty = self.contents.is_empty().then_some(self.contents);
        self.contents.chunks(self.stride.max(1)).chain(empty)
    }
}

impl Batch {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            memory: vec![0; SLOT * BATCH_SIZE].into(),
            metas: [RecvMeta::default(); BATCH_SIZE],
            filled: 0,
            joined: vec![0; MOST_BYTES].into(),
        })
    }

    /// Fills the batch by one call of `receive`.
    pub(super) fn fill(
        &mut self,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut slots = self.memory.chunks_exact_mut(SLOT);
        let mut slots: [_; BATCH_SIZE] = from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        self.filled = receive(&mut slots, &mut self.metas)?;
        Ok(())
    }

    /// Forgets what it holds.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether each buffer was used, so that more datagrams are probably waiting.
    pub(super) fn is_full(&self) -> bool {
        self.filled == BATCH_SIZE
    }

    /// Hands over the datagrams in the order of their arrival, joined as far as one call can send them.
    pub(super) fn for_each_run(&mut self, mut pass: impl FnMut(&Run<'_>)) {
        let mut next = 0;
        while next < self.filled {
            let first = next;
            let mut bytes = self.metas[first].len;
            next += 1;
            while next < self.filled && joins(&self.metas[first..=next], bytes) {
                bytes += self.metas[next].len;
                next += 1;
            }
            let meta = self.metas[first];
            let contents = self.contents(first, next, bytes);
            pass(&Run { from: meta.addr, to: meta.dst_ip, contents, stride: meta.stride });
        }
    }

    /// The bytes of some buffers in one piece. A single buffer is one; of several, the bytes are copied, which costs a
    /// small part of what the system calls that it saves would.
    fn contents(&mut self, first: usize, end: usize, bytes: usize) -> &[u8] {
        if end - first == 1 {
            return &self.memory[first * SLOT..][..bytes];
        }
        let mut at = 0;
        for slot in first..end {
            let len = self.metas[slot].len;
            self.joined[at..at + len].copy_from_slice(&self.memory[slot * SLOT..][..len]);
            at += len;
        }
        &self.joined[..bytes]
    }
}

/// Whether the last of `metas` can join the others, which have `bytes` in all.
fn joins(metas: &[RecvMeta], bytes: usize) -> bool {
    let [first, .., last] = metas else { return false };
    let stride = first.stride;
    let same_ends = first.addr == last.addr && first.dst_ip == last.dst_ip;
    let whole_so_far = stride > 0 && stride <= LARGEST_SEGMENT && bytes.is_multiple_of(stride);
    let fits_in = last.stride == stride || (last.len == last.stride && (1..stride).contains(&last.len));
    let total = bytes + last.len;
    same_ends && whole_so_far && fits_in && total <= MOST_BYTES.min(MOST_SEGMENTS * stride)
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("filled", &self.filled).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of datagrams, each from a port and with a length, filled with the number of its place.
    fn batch(datagrams: &[(u16, usize)]) -> Box<Batch> {
        let mut batch = Batch::new();
        batch
            .fill(|slots, metas| {
                for (place, &(port, len)) in datagrams.iter().enumerate() {
                    slots[place][..len].fill(u8::try_from(place).unwrap());
                    metas[place].addr = ([127, 0, 0, 1], port).into();
                    metas[place].len = len;
                    metas[place].stride = len;
                }
                Ok(datagrams.len())
            })
            .unwrap();
        batch
    }

    /// The lengths of the datagrams of each run.
    fn runs(datagrams: &[(u16, usize)]) -> Vec<Vec<usize>> {
        let mut runs = Vec::new();
        batch(datagrams).for_each_run(|run| {
            assert_eq!(run.count(), run.datagrams().count());
            runs.push(run.datagrams().map(<[u8]>::len).collect());
        });
        runs
    }

    #[test]
    fn equal_datagrams_of_one_sender_are_joined_and_a_shorter_one_ends_the_run() {
        assert_eq!(runs(&[(1, 9), (1, 9), (1, 4), (1, 4)]), [vec![9, 9, 4], vec![4]]);
        assert_eq!(runs(&[(1, 9), (1, 10)]), [[9], [10]]);
    }

    #[test]
    fn datagrams_of_different_senders_are_never_joined() {
        assert_eq!(runs(&[(1, 9), (2, 9), (1, 9)]), [[9], [9], [9]]);
    }

    #[test]
    fn large_and_empty_datagrams_stay_alone() {
        assert_eq!(runs(&[(1, 1473), (1, 1473), (1, 0), (1, 0)]), [[1473], [1473], [0], [0]]);
        assert_eq!(runs(&[(1, 9), (1, 0)]), [[9], [0]]);
    }

    #[test]
    fn joined_bytes_keep_their_order() {
        let mut contents = Vec::new();
        batch(&[(1, 2), (1, 2), (1, 1)]).for_each_run(|run| contents.extend_from_slice(run.contents));
        assert_eq!(contents, [0, 0, 1, 1, 2]);
    }
}
