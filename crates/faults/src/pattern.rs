//! Bytes of which each one says where it belongs.
//!
//! A client sends the pattern of its flow, and the node sends each byte back inverted. So a byte that is lost, repeated,
//! moved, of another flow, or sent back by anybody else than the node is a wrong byte.

use crate::random::Random;

/// The bytes of one pattern word.
const WORD: u64 = 8;

/// Fills `buffer` with the pattern of the flow `seed` from `offset` on.
pub(crate) fn fill(seed: u64, offset: u64, buffer: &mut [u8]) {
    let mut position = offset;
    let mut rest = buffer;
    while !rest.is_empty() {
        let word = Random::new(seed ^ (position / WORD).wrapping_mul(0xd6e8_feb8_6659_fd93)).next().to_le_bytes();
        let start = usize::try_from(position % WORD).unwrap_or(0);
        let length = rest.len().min(word.len() - start);
        let (now, later) = rest.split_at_mut(length);
        now.copy_from_slice(&word[start..start + length]);
        position += length as u64;
        rest = later;
    }
}

/// What a node sends back for these bytes.
pub(crate) fn invert(buffer: &mut [u8]) {
    for byte in buffer {
        *byte = !*byte;
    }
}

/// The position of the first byte that is not the node's answer to the pattern of the flow `seed` from `offset` on.
pub(crate) fn first_wrong(seed: u64, offset: u64, answer: &[u8]) -> Option<u64> {
    let mut expected = vec![0; answer.len()];
    fill(seed, offset, &mut expected);
    invert(&mut expected);
    let wrong = expected.iter().zip(answer).position(|(expected, byte)| expected != byte)?;
    Some(offset + wrong as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(seed: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        fill(seed, 0, &mut bytes);
        invert(&mut bytes);
        bytes
    }

    #[test]
    fn a_pattern_is_the_same_in_pieces_of_any_size() {
        let whole = answer(5, 1000);
        for piece in [1, 3, 8, 13, 64] {
            let mut offset = 0;
            for part in whole.chunks(piece) {
                assert_eq!(first_wrong(5, offset, part), None);
                offset += part.len() as u64;
            }
        }
    }

    #[test]
    fn the_first_byte_that_is_wrong_is_found() {
        let mut changed = answer(5, 1000);
        changed[77] ^= 1;
        assert_eq!(first_wrong(5, 0, &changed), Some(77));
    }

    #[test]
    fn bytes_of_another_place_flow_or_direction_are_wrong() {
        let right = answer(5, 1000);
        assert_eq!(first_wrong(5, 0, &right[1..]), Some(0));
        assert_eq!(first_wrong(6, 0, &right), Some(0));
        let mut own = right;
        invert(&mut own);
        assert_eq!(first_wrong(5, 0, &own), Some(0));
    }
}
