//! How many answers that only the peer asked for wait to be written.

use crate::output::Output;

/// Counts the bytes of answers in an output, without marking each: in two groups, of which the older is forgotten once
/// the output has passed its end. So it may count too much, at most as much as [`Answers::waiting`] said last.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    older: usize,
    newer: usize,
    /// Where in the output the newer group begins.
    newer_from: u64,
}

impl Answers {
    /// `bytes` of an answer were put into the output.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.newer += bytes;
    }

    /// How many bytes of answers may still wait in `output`.
    pub(crate) fn waiting(&mut self, output: &Output) -> usize {
        if output.taken() >= self.newer_from {
            *self = Self { older: self.newer, newer: 0, newer_from: output.end() };
        }
        self.older + self.newer
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn what_has_been_written_is_forgotten_though_the_output_is_never_empty() {
        let (mut answers, mut output) = (Answers::default(), Output::default());
        output.put(&[0; 10]);
        for _ in 0..100 {
            output.put(&[0; 10]);
            answers.add(10);
            assert!(answers.waiting(&output) <= 30, "one answer waits");
            output.advance(10);
        }
        output.advance(10);
        answers.waiting(&output);
        assert_eq!(answers.waiting(&output), 0);
    }

    #[test]
    fn what_nobody_reads_is_all_counted() {
        let (mut answers, mut output) = (Answers::default(), Output::default());
        for count in 1..100 {
            output.put(&[0; 12]);
            answers.add(12);
            assert_eq!(answers.waiting(&output), count * 12);
        }
    }
}
