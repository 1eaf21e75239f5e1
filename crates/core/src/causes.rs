//! An error with its causes.

use std::error::Error;

/// The error and its causes, on one line. A cause that its effect ends with already is not repeated.
pub fn line(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the file{}", if *.quotes { format!(": {}", .source) } else { String::new() })]
    struct Failed {
        quotes: bool,
        source: io::Error,
    }

    #[test]
    fn causes_follow_their_effects_and_are_said_once() {
        for quotes in [true, false] {
            let error = Failed { quotes, source: io::Error::other("disk gone") };
            assert_eq!(line(&error), "cannot read the file: disk gone");
        }
    }
}
