//! Foreign text made safe to print: names, labels and messages of containers, images, nodes and API servers.
//!
//! A terminal obeys control characters, so a Service name could clear the screen, set a title or forge a line of output.
//! Text output passes through this module once, where it is printed. JSON and YAML keep the value, escaped by their own
//! rules.

use std::borrow::Cow;

/// The longest foreign text that is printed, in characters. A longer one is cut, which its last character shows.
pub const LONGEST: usize = 512;

/// The longest message or log line that is printed, in characters: it has several foreign texts in it.
pub const LONGEST_MESSAGE: usize = 4096;

/// What stands for the rest of a text that is cut.
const CUT: char = '…';

/// Letters that are drawn as nothing: a name of them looks like an empty one.
const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// The text on one line, without anything that a terminal obeys or that changes the order of other characters.
///
/// Control characters, line breaks, bidirectional marks and characters without a width or a shape of their own become
/// Rust's escape sequences, such as `\n` and `\u{1b}`. Printable text of any language stays as it is.
pub fn line(text: &str) -> Cow<'_, str> {
    shorter_than(text, LONGEST)
}

/// As [`line()`], for a whole message or line of a log.
pub fn message(text: &str) -> Cow<'_, str> {
    shorter_than(text, LONGEST_MESSAGE)
}

/// Whether a terminal shows this character, and does nothing else.
pub fn is_safe(character: char) -> bool {
    match character {
        ' '..='~' => true,
        _ => !BLANK.contains(&character) && character.escape_debug().len() == 1,
    }
}

fn shorter_than(text: &str, longest: usize) -> Cow<'_, str> {
    if text.chars().take(longest + 1).enumerate().all(|(index, character)| index < longest && is_safe(character)) {
        return Cow::Borrowed(text);
    }
    let mut line = String::new();
    let mut length = 0;
    for character in text.chars() {
        let start = line.len();
        if is_safe(character) {
            line.push(character);
            length += 1;
        } else if BLANK.contains(&character) {
            line.extend(character.escape_unicode());
            length += character.escape_unicode().len();
        } else {
            line.extend(character.escape_debug());
            length += character.escape_debug().len();
        }
        if length > longest {
            line.truncate(start);
            line.push(CUT);
            break;
        }
    }
    Cow::Owned(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn printable_text_stays_as_it_is() {
        for text in ["", "web.shop:http", r#"a "quoted" c:\path"#, "服务 web", "Übung ß 🚀"] {
            assert!(matches!(line(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let cases = [
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("a\r\nerror: b", r"a\r\nerror: b"),
            ("a\u{202e}b\u{2066}c", r"a\u{202e}b\u{2066}c"),
            ("a\u{9b}2Jb", r"a\u{9b}2Jb"),
            ("zero\u{200b}width", r"zero\u{200b}width"),
            ("blank\u{3164}", r"blank\u{3164}"),
            ("e\u{301}", r"e\u{301}"),
        ];
        for (text, escaped) in cases {
            assert_eq!(line(text), escaped);
        }
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let text = "x".repeat(10 << 10);
        let line = line(&text);
        assert_eq!(line.chars().count(), LONGEST + 1);
        assert!(line.ends_with("x…"));
        assert_eq!(super::line(&text[..LONGEST]), text[..LONGEST]);
        assert_eq!(message(&text).chars().count(), LONGEST_MESSAGE + 1);
        assert_eq!(message(&text[..LONGEST_MESSAGE]), text[..LONGEST_MESSAGE]);
    }

    /// What a terminal obeys, or draws elsewhere than where it stands.
    fn is_obeyed(character: char) -> bool {
        character.is_control() || ('\u{2028}'..='\u{202e}').contains(&character)
    }

    proptest! {
        #[test]
        fn a_line_has_nothing_that_a_terminal_obeys(text in "\\PC*|.*|\\s*") {
            let line = line(&text);
            prop_assert!(line.chars().all(is_safe));
            prop_assert!(!line.chars().any(is_obeyed));
            prop_assert!(line.chars().count() <= LONGEST + 1);
        }
    }
}
