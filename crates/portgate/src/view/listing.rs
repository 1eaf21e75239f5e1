//! Listings: the same rows as a table, as names, as JSON or as YAML.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use anstyle::Style;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use portgate_core::escape;
use serde::Serialize;

use crate::args::Format;
use crate::failure::Failure;

/// One line of a listing.
pub(crate) trait Row: Serialize {
    /// The columns' titles.
    fn titles(wide: bool) -> Vec<&'static str>;
    /// The columns' contents, as many as there are titles.
    fn cells(&self, wide: bool) -> Vec<String>;
    /// What identifies the row, for `-o name`.
    fn name(&self) -> String;
}

/// The document that JSON and YAML listings are: room for more beside the rows.
#[derive(Serialize)]
pub(super) struct Document<'a, T> {
    items: &'a [T],
}

pub(super) fn document<T>(rows: &[T]) -> Document<'_, T> {
    Document { items: rows }
}

/// Writes the rows to stdout.
pub(crate) fn print<T: Row>(format: Format, rows: &[T]) -> Result<(), Failure> {
    let print = || anstream::stdout().lock().write_all(render(format, rows)?.as_bytes());
    print().map_err(Failure::system("print the list"))
}

/// Writes a document to stdout that has more than rows.
pub(crate) fn print_document(format: Format, document: &impl Serialize) -> Result<(), Failure> {
    let print = || anstream::stdout().lock().write_all(written(format, document)?.as_bytes());
    print().map_err(Failure::system("print the list"))
}

fn written(format: Format, document: &impl Serialize) -> io::Result<String> {
    match format {
        Format::Yaml => yaml(document),
        _ => json(document),
    }
}

/// The listing. Whatever the rows hold, a terminal only shows it.
pub(super) fn render<T: Row>(format: Format, rows: &[T]) -> io::Result<String> {
    let document = document(rows);
    match format {
        Format::Table | Format::Wide if rows.is_empty() => Ok(String::new()),
        Format::Table => Ok(table(rows, false)),
        Format::Wide => Ok(table(rows, true)),
        Format::Name => Ok(rows.iter().map(|row| escape::line(&row.name()).into_owned() + "\n").collect()),
        Format::Json | Format::Yaml => written(format, &document),
    }
}

/// JSON leaves a part of what a terminal obeys as it is, within strings only, where it can be written otherwise as well.
fn json(document: &impl Serialize) -> io::Result<String> {
    let text = serde_json::to_string_pretty(document)? + "\n";
    Ok(without_unsafe(&text, |character, text| {
        character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(text, "\\u{unit:04x}"))
    }))
}

/// So does YAML, but not within quotes only. JSON is YAML, too, except for the characters that JSON takes two escape
/// sequences for.
fn yaml(document: &impl Serialize) -> io::Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    let text = serde_saphyr::to_string_with_options(document, options).map_err(io::Error::other)?;
    if text.chars().all(is_shown) {
        return Ok(text);
    }
    let text = serde_json::to_string_pretty(document)? + "\n";
    Ok(without_unsafe(&text, |character, text| write!(text, "\\U{:08x}", u32::from(character))))
}

fn without_unsafe(text: &str, escape: impl Fn(char, &mut String) -> fmt::Result) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        // Writing to a string does not fail.
        if is_shown(character) || escape(character, &mut safe).is_err() {
            safe.push(character);
        }
    }
    safe
}

/// Whether a character of a document is shown as it is; its line breaks are the document's own.
fn is_shown(character: char) -> bool {
    character == '\n' || escape::is_safe(character)
}

/// Columns as kubectl sets them: titles in capitals, three spaces between, no lines.
fn table<T: Row>(rows: &[T], wide: bool) -> String {
    let bold = Style::new().bold();
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(T::titles(wide));
    for row in rows {
        table.add_row(row.cells(wide).iter().map(|cell| escape::line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let line = |(index, line): (usize, String)| match (index, line.trim_end()) {
        (0, titles) => format!("{bold}{titles}{bold:#}\n"),
        (_, cells) => format!("{cells}\n"),
    };
    table.lines().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[derive(Serialize)]
    struct Pair(&'static str, &'static str);

    impl Row for Pair {
        fn titles(wide: bool) -> Vec<&'static str> {
            if wide { vec!["LEFT", "RIGHT"] } else { vec!["LEFT"] }
        }

        fn cells(&self, wide: bool) -> Vec<String> {
            if wide { vec![self.0.to_owned(), self.1.to_owned()] } else { vec![self.0.to_owned()] }
        }

        fn name(&self) -> String {
            self.0.to_owned()
        }
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_ends() {
        let rows = [Pair("a", "b"), Pair("long one", "")];
        assert_snapshot!(anstream::adapter::strip_str(&table(&rows, true)), @r"
        LEFT       RIGHT
        a          b
        long one
        ");
    }
}
