//! Logs: what this process writes to its own, and the lines of those that it reads.

use std::io::{self, Write};

use portgate_core::limits;
use tracing_subscriber::filter::LevelFilter;

use super::talk::one_line;

/// Writes what happens from now on to stderr, as far as it is at least as grave as this.
pub(crate) fn log(level: LevelFilter) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Escaped(io::stderr()))
        .with_ansi(false)
        .with_target(false)
        .init();
}

/// Takes one event at a time, and writes it on one line.
struct Escaped<W>(W);

impl<W: Write> Write for Escaped<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        self.0.write_all((one_line(text.trim_end()) + "\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Lines that come in pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that this piece completes. One that is far too long ends where it is.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if part.ends_with(b"\n") || self.rest.len() > limits::LOG_LINE.most {
                lines.extend(self.end());
            }
        }
        lines
    }

    /// What is left of a log that ends without a line break.
    pub(crate) fn end(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.rest);
        let text = String::from_utf8_lossy(&line);
        (!line.is_empty()).then(|| text.trim_end_matches(['\r', '\n']).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_the_log() {
        let subscriber = |log| {
            let writer = std::sync::Mutex::new(Escaped(log));
            tracing_subscriber::fmt().with_writer(writer).with_ansi(false).with_target(false).without_time().finish()
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        tracing::subscriber::with_default(subscriber(file.reopen().unwrap()), || {
            let error = io::Error::other("no\r\n2026-01-01 ERROR forged\u{1b}]0;title\u{7}");
            tracing::warn!(%error, name = "a\u{202e}b", "worker: {}", "x\ny\u{9b}2J");
        });
        let log = std::fs::read_to_string(file).unwrap();
        assert_eq!(log.lines().count(), 1, "{log}");
        assert!(log.trim_end().chars().all(portgate_core::escape::is_safe), "{log:?}");
        assert!(log.contains("no") && log.contains("forged") && log.contains("2J"), "{log}");
    }

    #[test]
    fn pieces_are_put_together_to_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"one\r\ntw"), ["one"]);
        assert_eq!(lines.push(b"o\n\nthr"), ["two", ""]);
        assert_eq!(lines.end().as_deref(), Some("thr"));
        assert_eq!(lines.end(), None);
        let endless = vec![b'x'; limits::LOG_LINE.most];
        assert!(lines.push(&endless).is_empty());
        assert_eq!(lines.push(b"x").len(), 1);
    }
}
