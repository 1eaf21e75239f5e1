//! Talk: what is said to a person, on stderr.

use std::error::Error;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use anstream::eprintln;
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use portgate_core::causes;
use tracing_subscriber::filter::LevelFilter;

use crate::failure::Failure;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default().bold();

/// How long something may take before it is shown that it takes long.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often the sign of progress moves.
const TICK: Duration = Duration::from_millis(100);

/// Says what failed, with its causes.
pub(crate) fn error(error: &dyn Error) {
    eprintln!("{ERROR}error:{ERROR:#} {}", causes::line(error));
}

/// Says what to do about it.
pub(crate) fn hint(hint: impl Display) {
    eprintln!("{HINT}hint:{HINT:#} {hint}");
}

/// Warns.
pub(crate) fn warning(warning: impl Display) {
    eprintln!("{WARNING}warning:{WARNING:#} {warning}");
}

/// Prints a line of data, to stdout.
pub(crate) fn line(line: impl Display) -> Result<(), Failure> {
    writeln!(anstream::stdout(), "{line}").map_err(Failure::system("print"))
}

/// `1 port`, `2 ports`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Says something in passing.
pub(crate) fn note(note: impl Display) {
    eprintln!("{note}");
}

/// Says from now on what goes wrong in this process beside the command: it carries traffic itself.
pub(crate) fn log_warnings() {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// A sign of progress on a terminal, for whatever takes more than half a second. Gone when dropped.
pub(crate) struct Progress {
    bar: ProgressBar,
    shown: tokio::task::JoinHandle<()>,
}

impl Progress {
    /// Something begins.
    pub(crate) fn start(message: impl Into<String>) -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(message.into());
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
