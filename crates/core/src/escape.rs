//! Foreign text made safe to print: names, labels and messages of containers, images, nodes and API servers.
//!
//! A terminal obeys control characters, so a Service name could clear the screen, set a title or forge a line of output.
//! Text output passes through this module once, where it is printed. JSON and YAML keep the value, escaped by their own
//! rules.

use std::borrow::Cow;

/// The longest foreign text that is printed, in characters. A longer one is cut, which its last character shows.
pub const LONGEST: usize = 512;

/// What stands for the rest of a text that is longer than [`LONGEST`].
const CUT: char = '…';

/// The text on one line, without anything that a terminal obeys or that changes the order of other characters.
///
/// Control characters, line breaks, bidirectional marks and characters without a width or a shape of their own become
/// Rust's escape sequences, such as `\n` and `\u{1b}`. Printable text of any language stays as it is.
pub fn line(text: &str) -> Cow<'_, str> {
    let mut rest = text.chars();
    if rest.by_ref().take(LONGEST).all(is_safe) && rest.next().is_none() {
        return Cow::Borrowed(text);
    }
    let mut line = String::new();
    let mut length = 0;
    for character in text.chars() {
        let escaped = escape(character);
        length += escaped.chars().count();
        if length > LONGEST {
            line.push(CUT);
            break;
        }
        line.push_str(&escaped);
    }
    Cow::Owned(line)
}

fn escape(character: char) -> String {
    if is_safe(character) { character.to_string() } else { character.escape_debug().collect() }
}

/// Quotes and backslashes are safe, though Rust escapes them in its own source.
fn is_safe(character: char) -> bool {
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().len() == 1
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
    }

    proptest! {
        #[test]
        fn a_line_has_nothing_that_a_terminal_obeys(text in "\\PC*|.*|\\s*") {
            let line = line(&text);
            prop_assert!(!line.chars().any(|character| character.is_control() || ('\u{2028}'..='\u{202e}').contains(&character)));
            prop_assert!(line.chars().count() <= LONGEST + 1);
        }
    }
}
