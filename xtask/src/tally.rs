//! Counting what `cargo test` ran.

use std::fmt;

/// The sums of libtest's closing lines, one for each test binary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Tally {
    /// Counts a line if it is a closing one: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(crate) fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|result| result.split_once(". ")) else {
            return;
        };
        for (number, what) in counts.split("; ").filter_map(|count| count.split_once(' ')) {
            let number = number.parse::<usize>().unwrap_or_default();
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let mut tally = Tally::default();
        tally.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s");
        tally.add("test port::tests::zero ... ok");
        tally.add("test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s");
        assert_eq!(tally.to_string(), "5 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn other_lines_count_nothing() {
        let mut tally = Tally::default();
        tally.add("test result: who knows");
        tally.add("running 7 tests");
        assert_eq!(tally, Tally::default());
    }
}
