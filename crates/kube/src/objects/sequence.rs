//! Reading lists of JSON so that only what is kept of them takes memory: a list of a million empty objects is short.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

/// What becomes of the elements of a list, in order. Each is dropped as soon as it was converted. A list that is null is
/// empty.
pub(super) fn converted<'de, D, R, T, I>(deserializer: D, convert: impl FnMut(R) -> I) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
    I: IntoIterator<Item = T>,
{
    deserializer.deserialize_any(Converted { convert, element: PhantomData })
}

struct Converted<R, C> {
    convert: C,
    element: PhantomData<R>,
}

impl<'de, R, T, I, C> Visitor<'de> for Converted<R, C>
where
    R: Deserialize<'de>,
    I: IntoIterator<Item = T>,
    C: FnMut(R) -> I,
{
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Vec<T>, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = list.next_element()? {
            kept.extend((self.convert)(element));
        }
        Ok(kept)
    }
}
