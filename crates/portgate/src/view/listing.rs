//! Listings: the same rows as a table, as names, as JSON or as YAML.

use std::io::{self, Write};

use anstyle::Style;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
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
struct Document<'a, T> {
    items: &'a [T],
}

/// Writes the rows to stdout.
pub(crate) fn print<T: Row>(format: Format, rows: &[T]) -> Result<(), Failure> {
    write(format, rows).map_err(Failure::system("print the list"))
}

/// Writes a document to stdout that has more than rows.
pub(crate) fn print_document(format: Format, document: &impl Serialize) -> Result<(), Failure> {
    write_document(&mut anstream::stdout().lock(), format, document).map_err(Failure::system("print the list"))
}

fn write_document(out: &mut impl Write, format: Format, document: &impl Serialize) -> io::Result<()> {
    match format {
        Format::Yaml => write!(out, "{}", serde_saphyr::to_string(document).map_err(io::Error::other)?),
        _ => writeln!(out, "{}", serde_json::to_string_pretty(document)?),
    }
}

fn write<T: Row>(format: Format, rows: &[T]) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    let document = Document { items: rows };
    match format {
        Format::Table | Format::Wide if rows.is_empty() => Ok(()),
        Format::Table => write!(out, "{}", table(rows, false)),
        Format::Wide => write!(out, "{}", table(rows, true)),
        Format::Name => rows.iter().try_for_each(|row| writeln!(out, "{}", row.name())),
        Format::Json | Format::Yaml => write_document(&mut out, format, &document),
    }
}

/// Columns as kubectl sets them: titles in capitals, three spaces between, no lines.
fn table<T: Row>(rows: &[T], wide: bool) -> String {
    let bold = Style::new().bold();
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(T::titles(wide));
    for row in rows {
        table.add_row(row.cells(wide));
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
