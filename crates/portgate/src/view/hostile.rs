//! Foreign text at its worst, and what must come of it wherever it is printed.

use portgate_core::escape::{self, LONGEST, LONGEST_MESSAGE};

use super::Row;
use super::listing::{document, render};
use crate::args::Format;

/// What a label, a name or a message may hold.
pub(crate) fn texts() -> Vec<String> {
    let texts = [
        "\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[H",
        "x\r\nerror: forged\nhint: `rm -r /`",
        "a\u{202e}b\u{2066}c\u{200f}\u{feff}",
        "\u{9b}2J\u{90}q\u{7f}\u{0}\t\u{8}",
        "\u{2028}\u{2029}\u{85}",
        "e\u{301}\u{200b}\u{3164}\u{e0041}",
        "- {\"a\": 'b'}: # \\u001b %",
    ];
    let long = ["x", "\u{1b}", "\u{202e}", "服"].map(|character| character.repeat(10 << 10));
    texts.map(str::to_owned).into_iter().chain(long).collect()
}

/// A message is one line, that a terminal only shows.
#[track_caller]
pub(crate) fn assert_is_line(line: &str) {
    assert!(line.chars().all(escape::is_safe), "{line:?}");
    assert!(line.chars().count() <= LONGEST_MESSAGE + "warning: …".chars().count(), "{} characters", line.len());
}

/// Prints a row that has this text wherever text from outside can be, in every format.
#[track_caller]
pub(crate) fn check_row<T: Row>(row: impl Fn(&str) -> T) {
    for text in texts() {
        let rows = [row(&text)];
        for (format, lines) in [(Format::Table, 2), (Format::Wide, 2), (Format::Name, 1)] {
            let printed = render(format, &rows).unwrap();
            let (bold, end) = (anstyle::Style::new().bold(), "\u{1b}[0m");
            let printed = printed.replace(&bold.to_string(), "").replace(end, "");
            assert_eq!(printed.lines().count(), lines, "{printed:?}");
            let longest = T::titles(true).len() * (2 * LONGEST + 100);
            for line in printed.lines() {
                assert!(line.chars().all(escape::is_safe), "{line:?}");
                assert!(line.chars().count() < longest, "{} characters", line.len());
            }
        }
        let value = serde_json::to_value(document(&rows)).unwrap();
        let is_shown =
            |document: &str| document.chars().all(|character| character == '\n' || escape::is_safe(character));
        let json = render(Format::Json, &rows).unwrap();
        assert!(is_shown(&json), "{json:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), value);
        let yaml = render(Format::Yaml, &rows).unwrap();
        assert!(is_shown(&yaml), "{yaml:?}");
        assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&yaml).unwrap(), value, "{yaml}");
    }
}
