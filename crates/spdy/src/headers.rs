//! The headers of a stream, and their form before compression.

use std::collections::BTreeSet;

use crate::error::CallError;
use crate::limits::MAX_HEADER_BLOCK;

/// What stands between the values of one name.
const SEPARATOR: u8 = 0;

/// Headers in order, each name once and in lower case. A name may have several values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

/// Why a block is not made of headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Its lengths do not add up.
    Lengths,
    /// A name is empty, not in lower case, not text, or there twice. The rest can be read.
    Names,
}

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value to those of a name, which becomes lower case.
    pub fn add(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.to_ascii_lowercase();
        let value = value.as_ref();
        if let Some((_, values)) = self.0.iter_mut().find(|(other, _)| *other == name) {
            values.push(SEPARATOR);
            values.extend_from_slice(value);
        } else {
            self.0.push((name, value.to_owned()));
        }
    }

    /// The first value of a name, which is given in lower case.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// All values of a name, which is given in lower case.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let joined = self.0.iter().find(|(other, _)| other == name);
        joined.into_iter().flat_map(|(_, values)| values.split(|byte| *byte == SEPARATOR))
    }

    /// Names and values in order; several values of one name have a 0 byte between them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, values)| (&**name, &**values))
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The block that a frame carries, before compression: the number of names, then each name and its values, all with
    /// their length before them.
    pub(crate) fn to_block(&self) -> Result<Vec<u8>, CallError> {
        let length = 4 + self.iter().map(|(name, values)| 8 + name.len() + values.len()).sum::<usize>();
        if length > MAX_HEADER_BLOCK {
            return Err(CallError::HeadersTooLarge { length });
        }
        if self.iter().any(|(name, _)| name.is_empty()) {
            return Err(CallError::EmptyName);
        }
        let mut block = Vec::with_capacity(length);
        put_length(&mut block, self.len());
        for (name, values) in self.iter() {
            for text in [name.as_bytes(), values] {
                put_length(&mut block, text.len());
                block.extend_from_slice(text);
            }
        }
        Ok(block)
    }

    /// Reads a block back.
    pub(crate) fn from_block(mut block: &[u8]) -> Result<Self, Fault> {
        let count = take_length(&mut block).ok_or(Fault::Lengths)?;
        let mut headers = Self::new();
        let mut names = BTreeSet::new();
        let mut fault = None;
        for _ in 0..count {
            let name = take_text(&mut block).ok_or(Fault::Lengths)?;
            let values = take_text(&mut block).ok_or(Fault::Lengths)?;
            match str::from_utf8(name) {
                Ok(text) if is_name(text) && names.insert(name) => headers.0.push((text.to_owned(), values.to_owned())),
                _ => fault = Some(Fault::Names),
            }
        }
        let fault = if block.is_empty() { fault } else { Some(Fault::Lengths) };
        fault.map_or(Ok(headers), Err)
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Appends a length that is known to be at most [`MAX_HEADER_BLOCK`].
fn put_length(block: &mut Vec<u8>, length: usize) {
    let [.., a, b, c, d] = (length as u64).to_be_bytes();
    block.extend_from_slice(&[a, b, c, d]);
}

fn take_length(block: &mut &[u8]) -> Option<usize> {
    let (length, rest) = block.split_first_chunk()?;
    *block = rest;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

fn take_text<'a>(block: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = take_length(block)?;
    let (text, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(text)
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Self::new();
        for (name, value) in pairs {
            headers.add(name.as_ref(), value);
        }
        headers
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const COUNT: usize> From<[(N, V); COUNT]> for Headers {
    fn from(pairs: [(N, V); COUNT]) -> Self {
        pairs.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_keep_their_order() {
        let headers = Headers::from([("streamType", "data"), ("port", "80"), ("requestID", "0")]);
        let block =
            b"\0\0\0\x03\0\0\0\nstreamtype\0\0\0\x04data\0\0\0\x04port\0\0\0\x0280\0\0\0\x09requestid\0\0\0\x010";
        assert_eq!(headers.to_block().unwrap(), block);
        assert_eq!(Headers::from_block(block).unwrap(), headers);
        assert_eq!(headers.get("requestid"), Some(&b"0"[..]));
        assert_eq!(headers.get("absent"), None);
    }

    #[test]
    fn several_values_of_a_name_are_joined_by_0() {
        let headers = Headers::from([("via", "a"), ("port", "80"), ("Via", "b")]);
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("via", &b"a\0b"[..]), ("port", &b"80"[..])]);
        assert_eq!(headers.values("via").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(Headers::from_block(&headers.to_block().unwrap()).unwrap(), headers);
    }

    #[test]
    fn a_value_may_be_empty_or_no_text() {
        let headers = Headers::from([("empty", &b""[..]), ("bytes", &[0xff, 0xfe])]);
        assert_eq!(Headers::from_block(&headers.to_block().unwrap()).unwrap(), headers);
        assert_eq!(headers.get("empty"), Some(&b""[..]));
    }

    #[test]
    fn names_that_break_the_rules_are_told_from_lengths_that_do() {
        let block = |body: &[u8]| [&[0, 0, 0, 1][..], body].concat();
        for names in [&b"\0\0\0\x04Port\0\0\0\0"[..], b"\0\0\0\0\0\0\0\0", b"\0\0\0\x01\xff\0\0\0\0"] {
            assert_eq!(Headers::from_block(&block(names)), Err(Fault::Names), "{names:?}");
        }
        let twice = [&[0, 0, 0, 2][..], &b"\0\0\0\x01a\0\0\0\0".repeat(2)].concat();
        assert_eq!(Headers::from_block(&twice), Err(Fault::Names));
        for lengths in [&b""[..], b"\0\0\0\x05port\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x01a\0\0\0\0more"] {
            assert_eq!(Headers::from_block(&block(lengths)), Err(Fault::Lengths), "{lengths:?}");
        }
        assert_eq!(Headers::from_block(&[0, 0, 0]), Err(Fault::Lengths));
        assert_eq!(Headers::from_block(&[0xff; 4]), Err(Fault::Lengths), "a count is no reason to make room");
    }

    #[test]
    fn what_no_peer_would_take_is_not_sent() {
        let large = Headers::from([("name", vec![b'x'; MAX_HEADER_BLOCK])]);
        assert_eq!(large.to_block(), Err(CallError::HeadersTooLarge { length: MAX_HEADER_BLOCK + 16 }));
        assert_eq!(Headers::from([("", "x")]).to_block(), Err(CallError::EmptyName));
    }
}
