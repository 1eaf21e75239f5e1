//! What waits to be written to the peer.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};

/// The longest piece of data that is copied next to its frame's head: so short a piece costs more as a buffer of its own.
const COPIED: usize = 256;

/// How much room is made at a time for what is copied.
const ROOM: usize = 1024;

/// The bytes for the peer, in order. Data is kept as it was handed in, and copied only if it is short.
///
/// To be written as a [`Buf`] (vectored, with [`Buf::chunks_vectored`]), or taken piece by piece with [`Output::pop`].
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Bytes>,
    /// Heads, control frames and short data, after all chunks.
    tail: BytesMut,
    /// The bytes of the chunks.
    chunked: usize,
    /// The bytes that have been written so far.
    taken: u64,
}

impl Output {
    /// Takes the first piece, never an empty one, to be written by other means.
    pub fn pop(&mut self) -> Option<Bytes> {
        let piece = match self.chunks.pop_front() {
            Some(chunk) => {
                self.chunked -= chunk.len();
                chunk
            }
            None if self.tail.is_empty() => return None,
            None => self.tail.split().freeze(),
        };
        self.taken += piece.len() as u64;
        Some(piece)
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// How many bytes have been taken from it, ever.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// How many bytes have been put into it, ever.
    pub(crate) fn end(&self) -> u64 {
        self.taken + self.remaining() as u64
    }

    /// Copies bytes to the end.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.tail.capacity() - self.tail.len() < bytes.len() {
            self.tail.reserve(bytes.len().max(ROOM));
        }
        self.tail.extend_from_slice(bytes);
    }

    /// Puts data to the end.
    pub(crate) fn append(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            return self.put(&data);
        }
        if !self.tail.is_empty() {
            let heads = self.tail.split().freeze();
            self.push(heads);
        }
        self.push(data);
    }

    fn push(&mut self, chunk: Bytes) {
        self.chunked += chunk.len();
        self.chunks.push_back(chunk);
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.chunked + self.tail.len()
    }

    fn chunk(&self) -> &[u8] {
        self.chunks.front().map_or(&self.tail, |chunk| chunk)
    }

    fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.remaining(), "more was written than there was");
        let mut left = count.min(self.remaining());
        self.taken += left as u64;
        while let Some(chunk) = self.chunks.front_mut().filter(|_| left > 0) {
            let step = left.min(chunk.len());
            chunk.advance(step);
            left -= step;
            self.chunked -= step;
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.tail.advance(left);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&*self.tail);
        let pieces = self.chunks.iter().map(|chunk| &**chunk).chain(tail);
        let mut count = 0;
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output() -> Output {
        let mut output = Output::default();
        output.put(b"head");
        output.append(Bytes::from_static(b"short"));
        output.put(b"head");
        output.append(Bytes::from(vec![b'x'; 1000]));
        output.put(b"end");
        output
    }

    #[test]
    fn short_data_is_copied_and_long_data_is_not() {
        let mut output = Output::default();
        let data = Bytes::from(vec![7; COPIED + 1]);
        output.put(b"head");
        output.append(data.slice(..COPIED));
        output.append(data.clone());
        assert_eq!(output.pop().unwrap().len(), 4 + COPIED);
        assert_eq!(output.pop().unwrap().as_ptr(), data.as_ptr());
        assert_eq!(output.pop(), None);
        assert!(output.is_empty());
    }

    #[test]
    fn it_is_the_same_bytes_however_it_is_taken() {
        let mut popped = Vec::new();
        let mut whole = output();
        while let Some(piece) = whole.pop() {
            popped.extend_from_slice(&piece);
        }
        for step in 1..20 {
            let (mut output, mut taken) = (output(), Vec::new());
            while output.has_remaining() {
                let length = step.min(output.chunk().len());
                taken.extend_from_slice(&output.chunk()[..length]);
                output.advance(length);
                assert_eq!(output.remaining() + taken.len(), popped.len());
                assert_eq!(output.taken(), taken.len() as u64);
            }
            assert_eq!(taken, popped);
        }
    }

    #[test]
    fn a_vectored_write_may_take_all_at_once() {
        let mut output = output();
        let mut slices = [IoSlice::new(&[]); 8];
        let count = output.chunks_vectored(&mut slices);
        assert_eq!(count, 3, "heads and short data, long data, the end");
        let length: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        assert_eq!(length, output.remaining());
        output.advance(length);
        assert_eq!((output.remaining(), output.chunk()), (0, &[][..]));
    }
}
