//! The order that a reader expects of names with numbers in them.

use std::cmp::Ordering;

/// Compares runs of digits by their value: `server-2` comes before `server-10`.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let (a_run, b_run) = (take_run(&mut a_rest), take_run(&mut b_rest));
        let order = compare_runs(a_run, b_run);
        if order != Ordering::Equal {
            return order;
        }
        if a_run.is_empty() {
            return a.cmp(b);
        }
    }
}

/// Takes the longest start that is all digits or has none.
fn take_run<'a>(text: &mut &'a str) -> &'a str {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    let (run, rest) = text.split_at(end);
    *text = rest;
    run
}

fn compare_runs(a: &str, b: &str) -> Ordering {
    let numeric = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    if numeric(a) && numeric(b) {
        let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
        a.len().cmp(&b.len()).then_with(|| a.cmp(b))
    } else {
        a.cmp(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        let mut names = ["s-10", "s-2", "s-1-b", "s", "s-02", "a-99999999999999999999999", "s-1-a"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["a-99999999999999999999999", "s", "s-1-a", "s-1-b", "s-02", "s-2", "s-10"]);
    }
}
