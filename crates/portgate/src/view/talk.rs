//! Talk: what is said to a person, on stderr, and lines of data.
//!
//! Every text is one line: what comes from outside cannot begin another one, nor anything else that a terminal obeys.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use anstream::{eprint, eprintln};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use portgate_core::{causes, escape};

use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How long something may take before it is shown that it takes long.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the sign of progress moves.
const TICK: Duration = Duration::from_millis(100);

/// Says what failed, with its causes, and what to do about it.
pub(crate) fn error(failure: &Failure) {
    eprint!("{}", failed(ERROR, "error", failure));
}

/// Warns of what failed beside what was asked for, and says what to do about it.
pub(crate) fn warn_of(failure: &Failure) {
    eprint!("{}", failed(WARNING, "warning", failure));
}

/// Warns.
pub(crate) fn warning(warning: impl Display) {
    eprint!("{}", labelled(WARNING, "warning", warning));
}

/// Says what to do.
pub(crate) fn hint(hint: impl Display) {
    eprint!("{}", labelled(HINT, "hint", hint));
}

/// Says something in passing.
pub(crate) fn note(note: impl Display) {
    eprintln!("{}", one_line(note));
}

/// Prints a line of data, to stdout.
pub(crate) fn line(line: impl Display) -> Result<(), Failure> {
    writeln!(anstream::stdout(), "{}", one_line(line)).map_err(Failure::system("print"))
}

/// Prints a text of several lines under its title, to stdout.
pub(crate) fn block(title: impl Display, text: &str) -> Result<(), Failure> {
    write!(anstream::stdout(), "\n{}", titled(title, text)).map_err(Failure::system("print"))
}

/// Prints a line of a log as soon as it is there, to stdout.
pub(crate) fn log_line(line: impl Display) -> Result<(), Failure> {
    let print = || {
        let mut out = anstream::stdout().lock();
        writeln!(out, "{}", one_line(line))?;
        out.flush()
    };
    io::Result::map_err(print(), Failure::system("print the log"))
}

/// `1 port`, `2 ports`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A failure, and the hint to it on a line of its own.
pub(crate) fn failed(style: Style, label: &str, failure: &Failure) -> String {
    let hint = failure.hint().map(|hint| labelled(HINT, "hint", hint));
    labelled(style, label, causes::line(failure)) + &hint.unwrap_or_default()
}

fn labelled(style: Style, label: &str, text: impl Display) -> String {
    format!("{style}{label}:{style:#} {}\n", one_line(text))
}

/// The text as it is printed.
pub(super) fn one_line(text: impl Display) -> String {
    escape::message(&text.to_string()).into_owned()
}

fn titled(title: impl Display, text: &str) -> String {
    let lines = text.lines().map(|line| one_line(line) + "\n");
    format!("{}:\n", one_line(title)) + &lines.collect::<String>()
}

/// A sign of progress on a terminal, for whatever takes more than half a second. Gone when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Something begins.
    pub(crate) fn start(message: impl Display) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(one_line(message));
        let later = bar.clone();
        let shown = tokio::spawn(async move {
            tokio::time::sleep(PATIENCE).await;
            later.enable_steady_tick(TICK);
        });
        Self { bar, shown }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.shown.abort();
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_stays_on_its_line() {
        let forged = "x\u{1b}[2J\r\nerror: all is lost\u{202e}";
        assert_eq!(one_line(forged), r"x\u{1b}[2J\r\nerror: all is lost\u{202e}");
        assert_eq!(one_line("x".repeat(10 << 10)).chars().count(), escape::LONGEST_MESSAGE + 1);
    }

    #[test]
    fn an_answer_keeps_its_lines_and_nothing_else() {
        assert_eq!(titled("t\n", "HTTP/1.1 200 OK\r\nA: \u{9b}2J\n"), "t\\n:\nHTTP/1.1 200 OK\nA: \\u{9b}2J\n");
    }
}
