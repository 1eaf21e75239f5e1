//! The compression of headers: one zlib stream for each direction of a session, flushed after every block.

use flate2::{Decompress, FlushDecompress, Status};

use crate::dictionary::DICTIONARY;
use crate::error::BlockError;
use crate::limits::MAX_HEADER_BLOCK;

/// How much room is made at first. A block of Kubernetes' headers has some 70 bytes, compressed or not.
const ROOM: usize = 256;

/// The head of a zlib stream that has the dictionary: deflate with a window of 32 KiB, and the dictionary's check sum.
const HEAD: [u8; 6] = [0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2];

/// The most that a stored block of deflate can hold.
const STORED: usize = 65_535;

/// Compresses this end's headers, if not well: every block is stored as it is. A window to find repetitions in would take
/// 300 KiB for each session (zlib's), which saves some fifty bytes for a connection, and a port-forward has many sessions.
#[derive(Debug, Default)]
pub(crate) struct Compressor {
    has_begun: bool,
}

impl Compressor {
    /// Writes a block, and behind it the mark of a flush: without that, Go's reader would wait for more.
    pub(crate) fn compress(&mut self, block: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        if !self.has_begun {
            self.has_begun = true;
            out.extend_from_slice(&HEAD);
        }
        for part in block.chunks(STORED).chain([&[][..]]) {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX);
            out.push(0);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&(!length).to_le_bytes());
            out.extend_from_slice(part);
        }
        out
    }
}

/// Decompresses the peer's headers. Takes no memory before the first, and some 20 KiB from then on.
#[derive(Debug, Default)]
pub(crate) struct Decompressor(Option<Decompress>);

impl Decompressor {
    /// Decompresses a block, in steps, so that a small one cannot become large. After an error the stream is of no use.
    pub(crate) fn decompress(&mut self, mut block: &[u8]) -> Result<Vec<u8>, BlockError> {
        let zlib = self.0.get_or_insert_with(|| Decompress::new(true));
        let mut out = Vec::with_capacity(ROOM);
        loop {
            let before = (block.len(), out.len());
            let total = zlib.total_in();
            let mut named = false;
            match zlib.decompress_vec(block, &mut out, FlushDecompress::Sync) {
                Ok(Status::Ok | Status::BufError) => {}
                // Its check sum is in the stream's head: no other dictionary would be taken.
                Err(error) if error.needs_dictionary().is_some() => {
                    zlib.set_dictionary(DICTIONARY).map_err(|_| BlockError::Compression)?;
                    named = true;
                }
                Ok(Status::StreamEnd) | Err(_) => return Err(BlockError::Compression),
            }
            block = rest(block, zlib.total_in() - total);
            if out.len() > MAX_HEADER_BLOCK {
                return Err(BlockError::TooLarge);
            }
            if out.len() == out.capacity() {
                out.reserve(out.len());
            } else if block.is_empty() {
                return Ok(out);
            } else if before == (block.len(), out.len()) && !named {
                return Err(BlockError::Compression);
            }
        }
    }
}

/// What is left of `block` after `count` bytes of it.
fn rest(block: &[u8], count: u64) -> &[u8] {
    usize::try_from(count).ok().and_then(|count| block.get(count..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[test]
    fn blocks_come_back_one_by_one() {
        let (mut compressor, mut decompressor) = (Compressor::default(), Decompressor::default());
        for length in [0, 1, 4, 70, ROOM - 1, ROOM, ROOM + 1, 5000, MAX_HEADER_BLOCK] {
            let block: Vec<u8> = (0..length).map(|at| (at * at / 7).to_le_bytes()[0]).collect();
            let compressed = compressor.compress(&block);
            assert!(compressed.ends_with(&[0, 0, 0xff, 0xff]), "flushed");
            assert_eq!(decompressor.decompress(&compressed).unwrap(), block);
        }
    }

    #[test]
    fn every_block_is_stored_and_flushed() {
        let mut compressor = Compressor::default();
        let stored = |block: &[u8]| [&[0, 2, 0, 0xfd, 0xff], block, &[0, 0, 0, 0xff, 0xff]].concat();
        assert_eq!(compressor.compress(b"ab"), [&HEAD[..], &stored(b"ab")].concat());
        assert_eq!(compressor.compress(b"cd"), stored(b"cd"));
    }

    /// What another end makes of its headers.
    fn zlib(block: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(DICTIONARY).unwrap();
        let mut out = Vec::with_capacity(4000);
        zlib.compress_vec(block, &mut out, flush).unwrap();
        out
    }

    #[test]
    fn a_block_of_zeros_does_not_become_a_bomb() {
        let small = zlib(&vec![0; MAX_HEADER_BLOCK], FlushCompress::Sync);
        assert_eq!(Decompressor::default().decompress(&small).map(|block| block.len()), Ok(MAX_HEADER_BLOCK));
        let bomb = zlib(&vec![0; 1 << 20], FlushCompress::Sync);
        assert!(bomb.len() < 2000);
        assert_eq!(Decompressor::default().decompress(&bomb), Err(BlockError::TooLarge));
    }

    #[test]
    fn noise_an_unknown_dictionary_and_an_ended_stream_are_errors() {
        assert_eq!(Decompressor::default().decompress(&[0xff; 100]), Err(BlockError::Compression));
        let unknown = [0x78, 0xf9, 1, 2, 3, 4, 0, 0, 0, 0xff, 0xff];
        assert_eq!(Decompressor::default().decompress(&unknown), Err(BlockError::Compression));
        let ended = zlib(&[0, 0, 0, 0], FlushCompress::Finish);
        assert_eq!(Decompressor::default().decompress(&ended), Err(BlockError::Compression));
    }

    #[test]
    fn an_empty_block_is_nothing() {
        assert_eq!(Decompressor::default().decompress(&[]), Ok(Vec::new()));
    }
}
