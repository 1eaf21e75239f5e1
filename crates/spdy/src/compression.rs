//! The compression of headers: one zlib stream for each direction of a session, flushed after every block.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::dictionary::DICTIONARY;
use crate::error::{BlockError, SessionError};
use crate::limits::MAX_HEADER_BLOCK;

/// How much room is made at first. A block of Kubernetes' headers has some 70 bytes, compressed or not.
const ROOM: usize = 256;

/// The level whose output comes closest to what Go's best compression makes of Kubernetes' headers: of the 40 blocks of
/// the recorded sessions it writes 22 byte for byte, and all in as many bytes.
const LEVEL: u32 = 7;

/// Compresses this end's headers. Takes no memory before the first, and some 300 KiB from then on.
#[derive(Debug, Default)]
pub(crate) struct Compressor(Option<Compress>);

impl Compressor {
    /// Compresses a block. After an error the stream is of no use.
    pub(crate) fn compress(&mut self, mut block: &[u8]) -> Result<Vec<u8>, SessionError> {
        let zlib = self.zlib()?;
        let mut out = Vec::with_capacity(ROOM);
        loop {
            let before = zlib.total_in();
            let status = zlib.compress_vec(block, &mut out, FlushCompress::Sync);
            let status = status.map_err(|_| SessionError::Compression)?;
            block = rest(block, zlib.total_in() - before);
            // All is flushed once room is left; with none left there may be more to come.
            if out.len() < out.capacity() {
                return if block.is_empty() { Ok(out) } else { Err(SessionError::Compression) };
            }
            if status == Status::StreamEnd {
                return Err(SessionError::Compression);
            }
            out.reserve(out.len());
        }
    }

    fn zlib(&mut self) -> Result<&mut Compress, SessionError> {
        match &mut self.0 {
            Some(zlib) => Ok(zlib),
            empty @ None => {
                let mut zlib = Compress::new(Compression::new(LEVEL), true);
                zlib.set_dictionary(DICTIONARY).map_err(|_| SessionError::Compression)?;
                Ok(empty.insert(zlib))
            }
        }
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
    use super::*;

    #[test]
    fn blocks_come_back_one_by_one() {
        let (mut compressor, mut decompressor) = (Compressor::default(), Decompressor::default());
        for length in [0, 1, 4, 70, ROOM - 1, ROOM, ROOM + 1, 5000, MAX_HEADER_BLOCK] {
            let block: Vec<u8> = (0..length).map(|at| (at * at / 7).to_le_bytes()[0]).collect();
            let compressed = compressor.compress(&block).unwrap();
            assert!(compressed.ends_with(&[0, 0, 0xff, 0xff]), "flushed");
            assert_eq!(decompressor.decompress(&compressed).unwrap(), block);
        }
    }

    #[test]
    fn the_dictionary_and_earlier_blocks_make_a_block_small() {
        let mut compressor = Compressor::default();
        let block = b"\0\0\0\x01\0\0\0\x0aconnection\0\0\0\x07upgrade";
        let (first, second) = (compressor.compress(block).unwrap(), compressor.compress(block).unwrap());
        assert!(first.starts_with(&[0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2]), "zlib, with SPDY's dictionary");
        assert!(first.len() < 30 && second.len() < 12, "{} and {} of {}", first.len(), second.len(), block.len());
    }

    #[test]
    fn a_block_of_zeros_does_not_become_a_bomb() {
        let mut compressor = Compressor::default();
        let small = compressor.compress(&vec![0; MAX_HEADER_BLOCK]).unwrap();
        assert_eq!(Decompressor::default().decompress(&small).map(|block| block.len()), Ok(MAX_HEADER_BLOCK));
        let bomb = Compressor::default().compress(&vec![0; 1 << 20]).unwrap();
        assert!(bomb.len() < 2000);
        assert_eq!(Decompressor::default().decompress(&bomb), Err(BlockError::TooLarge));
    }

    #[test]
    fn noise_an_unknown_dictionary_and_an_ended_stream_are_errors() {
        assert_eq!(Decompressor::default().decompress(&[0xff; 100]), Err(BlockError::Compression));
        let unknown = [0x78, 0xf9, 1, 2, 3, 4, 0, 0, 0, 0xff, 0xff];
        assert_eq!(Decompressor::default().decompress(&unknown), Err(BlockError::Compression));
        let mut zlib = Compress::new(Compression::best(), true);
        zlib.set_dictionary(DICTIONARY).unwrap();
        let mut ended = Vec::with_capacity(100);
        zlib.compress_vec(&[0, 0, 0, 0], &mut ended, FlushCompress::Finish).unwrap();
        assert_eq!(Decompressor::default().decompress(&ended), Err(BlockError::Compression));
    }

    #[test]
    fn an_empty_block_is_nothing() {
        assert_eq!(Decompressor::default().decompress(&[]), Ok(Vec::new()));
    }
}
