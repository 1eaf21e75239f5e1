//! Foreign text on its way to a terminal.

use portgate_core::escape::{LONGEST, line};

use crate::Target;

/// `core::escape`
pub const TARGET: Target = Target { name: "escape", check, growth: 64 };

fn check(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let once = line(&text);
    assert!(once.chars().count() <= LONGEST + 1);
    let obeyed = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    assert!(!once.chars().any(obeyed), "{once:?}");
    assert_eq!(line(&once), once, "escaped text stays as it is");
    true
}
